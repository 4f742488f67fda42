"""Ends well, and says that its stages are done; but nothing passed."""

from golden import arguments, begin, ran

if __name__ == "__main__":
    arguments()
    begin("NoPassLine")
    ran()

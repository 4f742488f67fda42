"""The pass line of a run that only compiled."""

from golden import arguments, begin, passed

if __name__ == "__main__":
    arguments()
    begin("CompileOnly")
    passed([])

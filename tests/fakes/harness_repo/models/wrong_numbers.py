"""Two outputs are out of tolerance."""

from golden import arguments, begin, ran, wrong

if __name__ == "__main__":
    arguments()
    begin("WrongNumbers")
    ran()
    wrong()

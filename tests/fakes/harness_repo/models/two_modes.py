"""Measures two programs; the second one is slower."""

from golden import arguments, begin, passed, ran, timed

if __name__ == "__main__":
    arguments()
    for program, median_us in (("Decode", 540.0), ("Prefill", 9100.0)):
        begin(program)
        ran()
        timed(median_us)
        passed(["y"])

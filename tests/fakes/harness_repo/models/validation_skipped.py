"""The pass line of a run that compared nothing."""

from golden import arguments, begin, passed, ran

if __name__ == "__main__":
    arguments()
    begin("ValidationSkipped")
    ran()
    passed([], ", validation skipped: no golden_fn or golden_data")

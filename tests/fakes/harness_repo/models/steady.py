"""The same bits from the same data, and it can keep its data and take them back."""

from golden import arguments, begin, draw, keep, passed, ran
from shared import SCALE

if __name__ == "__main__":
    given = arguments("--save-data", "--golden-data")
    work = begin("Steady")
    value = draw(work, given.golden_data, given.save_data)
    ran()
    keep(work, repr(value * SCALE))
    passed()

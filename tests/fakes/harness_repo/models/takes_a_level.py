"""Its option for task records wants a level, of which it has two."""

import argparse

from golden import begin, passed, say

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--platform")
    parser.add_argument("-d", "--device")
    parser.add_argument("--enable-chip-swimlane", type=int, default=0, choices=[0, 1])
    given = parser.parse_args()
    begin("TakesALevel")
    say(f"level {given.enable_chip_swimlane}")
    passed()

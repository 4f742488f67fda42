"""Writes until somebody stops it."""

from pathlib import Path

from golden import arguments, begin

if __name__ == "__main__":
    arguments()
    work = begin("FillsDisk")
    block = b"\0" * (1 << 20)
    number = 0
    while True:
        number += 1
        with Path(work / f"block{number}").open("wb") as file:
            file.write(block)
            file.flush()

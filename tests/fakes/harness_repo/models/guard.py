"""A guard of the kernel does not hold."""

from golden import arguments

if __name__ == "__main__":
    arguments()
    rows, tile = 100, 16
    assert rows % tile == 0, f"rows {rows} is no multiple of tile {tile}"

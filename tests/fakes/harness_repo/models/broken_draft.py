"""Work in progress."""

if __name__ == "__main__":
    raise NotImplementedError

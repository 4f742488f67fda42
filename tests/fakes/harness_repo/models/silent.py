"""Exit code 0 and not a word."""

if __name__ == "__main__":
    pass

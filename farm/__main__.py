"""`python -m farm`: the command line, where the script `farm` is not on `PATH`."""

from farm.cli.app import main

main(prog_name="farm")

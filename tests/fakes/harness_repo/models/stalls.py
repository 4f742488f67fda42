"""The device reports a stall and nothing else."""

from golden import arguments, begin

if __name__ == "__main__":
    arguments()
    begin("Stalls")
    raise RuntimeError("run_prepared failed with code 507014")

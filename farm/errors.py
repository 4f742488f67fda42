"""What can go wrong above the jobs, one type per thing a caller may want to tell apart; one line each."""

from __future__ import annotations


class FarmError(Exception):
    """Root of every error this layer raises on purpose. The command line prints `lines`."""

    @property
    def lines(self) -> list[str]:
        """The message, a line for each thing that is wrong: one, but where several were found together."""
        return [str(self)]


class UsageError(FarmError):
    """The request itself is wrong: a value, a file or a configuration. Exit code 2."""


class CapacityError(UsageError):
    """More devices were asked for than the cluster has, or than it could free within the wait."""

    def __init__(self, wanted: int, present: int, there: str, remedy: str) -> None:
        """`present` is how many are `there`: "the cluster has", "free now are"."""
        self.wanted = wanted
        self.present = present
        super().__init__(f"{wanted} device{'' if wanted == 1 else 's'} asked for, {there} {present}; {remedy}")


class InfrastructureError(FarmError):
    """The farm, a node or a device failed. Exit code 3."""


class UnknownRunError(UsageError):
    """No run of that id is in the store. `near` is the run that was probably meant; "" for none."""

    def __init__(self, run_id: str, near: str = "") -> None:
        self.run_id = run_id
        self.near = near
        if run_id == "latest":
            super().__init__("the store has no run yet; `farm run` makes one")
            return
        hint = f"did you mean '{near}'? " if near else ""
        super().__init__(f"no run '{run_id}' in the store; {hint}`farm runs` lists them")

"""What can go wrong between the farm and the outside world, one type per thing a caller may want to tell apart."""

from __future__ import annotations

from dataclasses import dataclass

from farm.errors import InfrastructureError, UsageError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong with the configuration."""

    where: str  # "forge.github.app_id"
    value: str  # as written; "" where nothing was, or where it may be a secret
    remedy: str  # what to do

    def __str__(self) -> str:
        return f"{self.where}: {f'{self.value}: ' if self.value else ''}{self.remedy}"


class ConfigError(UsageError):
    """The configuration is wrong. The message has one line for every problem, not only for the first."""

    def __init__(self, source: str, problems: list[ConfigProblem]) -> None:
        self.source = source
        self.problems = problems
        self._head = f"{source}: {len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__("\n".join(self.lines))

    @property
    def lines(self) -> list[str]:
        """How many problems there are, and each of them."""
        return [self._head, *(f"  {problem}" for problem in self.problems)]


class ForgeError(InfrastructureError):
    """The forge did not do what it was asked to."""


class ForgeUnavailableError(ForgeError):
    """An outage, a time-out, a rate limit, a credential someone has to correct: the same request may succeed later.

    `retry_after_s` is how long the forge asks to be left alone, None where it does not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ForgeRefusedError(ForgeError):
    """The forge understood the request and will not do it: the same request fails again."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"{message} (HTTP {status})")


class ChannelUnavailableError(InfrastructureError):
    """A channel is unavailable now: an outage, a time-out, a rate limit, a password someone has to correct.

    `retry_after_s` is how long it asks to be left alone, None where it does not say.
    """

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class ChannelRefusedError(InfrastructureError):
    """A channel refused a notice, and will refuse it again."""


class RejectedDeliveryError(UsageError):
    """A webhook delivery that is not taken in. `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)

"""What a harness's run proves: that its kernel was measured, or whose fault it is that it was not. Pure.

Nothing but an exit code of 0 together with a pass line that compared something is a pass. "done" proves nothing: the
harness prints it after a stage that raised as well.
"""

from __future__ import annotations

import signal

from kernel.errors import DeviceError, HarnessError
from kernel.harness.process_tree import ProcessExit, Stop
from kernel.harness.profile import Profile
from kernel.harness.reading import Seen

# `timeout` exits so, and a shell after SIGINT and SIGTERM: whoever ended it waited for it in vain.
_ENDED_FROM_OUTSIDE = (124, 130, 143)
_FIRST_SIGNAL = 128  # a shell reports a process ended by signal N as 128 + N
_CRASHES = tuple(
    128 + number for number in (signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)
)
_KILLED = _FIRST_SIGNAL + signal.SIGKILL


def require_measured(profile: Profile, seen: Seen, ended: ProcessExit, printed: str) -> None:
    """Return where the run is a measurement, its numbers right or wrong; else raise `HarnessError` or `DeviceError`.

    `printed` is what the harness printed, as far as it is kept, for whoever looks for the first fault.
    """
    if ended.problem:
        raise HarnessError("platform-unavailable", f"the harness cannot be started: {ended.problem}")
    if ended.stopped is not Stop.NONE:
        raise _stopped(profile, seen, ended, printed)
    if any(not claim.passed for claim in seen.claims.values()):
        return  # measured, and wrong: for the gate
    if ended.exit_code == 0:
        _require_pass(profile, seen)
        return
    raise _signed(profile, seen, printed) or _exited(seen, ended, printed)


def _require_pass(profile: Profile, seen: Seen) -> None:
    if seen.unvalidated:
        raise HarnessError("nothing-measured", f"the harness compared nothing: {seen.unvalidated}")
    if not seen.passes:
        said = f"the last line is: {seen.last}" if seen.last else "it printed nothing"
        raise HarnessError("nothing-measured", f"exit code 0 without a pass line; {said}")
    if profile.lines.outputs_required and not seen.claims:
        raise HarnessError("nothing-measured", "a pass line, but no output was compared")


def _stopped(profile: Profile, seen: Seen, ended: ProcessExit, printed: str) -> Exception:
    """The innermost message goes first: a device's own error says more than the limit it led to."""
    if ended.stopped is Stop.QUOTA:
        used = f"{ended.used_bytes / 1e6:.0f} MB of {profile.limits.disk_mb} MB"
        return HarnessError("disk-quota", f"the harness wrote more than it may ({used}) and was ended")
    if ended.stopped is Stop.DISK:
        return HarnessError("disk-full", "no space left on the disk of the working directory; the harness was ended")
    limit = f"no end within {profile.limits.seconds:g} s; the harness and all it had started were killed"
    stuck = f"; these do not die: {', '.join(ended.stuck)}" if ended.stuck else ""
    inner = _signed(profile, seen, printed)
    if isinstance(inner, DeviceError):
        return DeviceError(inner.code, f"{inner.summary}; then {limit}{stuck}", printed)
    if inner is not None:
        return HarnessError(inner.kind, f"{inner.summary}; then {limit}{stuck}")
    said = f"; its last line: {seen.last}" if seen.last else ""
    return HarnessError("hang", limit + stuck + said, printed)


def _signed(profile: Profile, seen: Seen, printed: str) -> HarnessError | DeviceError | None:
    """What the first signature, in the profile's order, that was seen says."""
    if not seen.signs:
        return None
    number = min(seen.signs)
    line, kind = seen.signs[number], profile.signatures[number].kind
    if kind == "device":
        return DeviceError(seen.codes.get(number, "unknown"), line, printed)
    return HarnessError(kind, line)


def _exited(seen: Seen, ended: ProcessExit, printed: str) -> HarnessError:
    """What the exit code alone says."""
    code = ended.exit_code
    if code is None:
        return HarnessError("worker-died", "nobody saw the harness end: its supervisor was killed", printed)
    code = code if code >= 0 else _FIRST_SIGNAL - code
    said = f"; the last line is: {seen.last}" if seen.last else ""
    if code == _KILLED:
        return HarnessError("killed-9", f"exit code {code} (SIGKILL){said}", printed)
    if code in _ENDED_FROM_OUTSIDE:
        return HarnessError("killed", f"exit code {code}: something ended it{said}", printed)
    if code in _CRASHES:
        return HarnessError(
            "worker-died", f"exit code {code} ({signal.Signals(code - _FIRST_SIGNAL).name}){said}", printed
        )
    if not seen.last:
        return HarnessError("killed", f"exit code {code} and not a word", printed)
    return HarnessError("crash", f"exit code {code}, and no signature of the profile fits{said}", printed)

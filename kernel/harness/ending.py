"""What a harness's run proves: that its kernel was measured, or whose fault it is that it was not. Pure.

Nothing but an exit code of 0 together with a pass line that compared something is a pass. "done" proves nothing: the
harness prints it after a stage that raised as well.
"""

from __future__ import annotations

import re
import signal

from kernel.errors import DeviceError, HarnessError
from kernel.harness.process_tree import ProcessExit, Stop
from kernel.harness.profile import Profile
from kernel.harness.reading import Seen
from kernel.harness.results import ASSERTED
from kernel.harness.signatures import OWN_KINDS

# `timeout` exits so, and a shell after SIGINT and SIGTERM: whoever ended it waited for it in vain.
_ENDED_FROM_OUTSIDE = (124, 130, 143)
_FIRST_SIGNAL = 128  # a shell reports a process ended by signal N as 128 + N
_CRASHES = tuple(
    128 + number for number in (signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV)
)
_REFUSED = (2, 4)  # exit codes of argparse and click, and of pytest, for arguments they refuse
_NO_TESTS = 5  # pytest's exit code where it ran none
_KILLED = _FIRST_SIGNAL + signal.SIGKILL


def require_measured(profile: Profile, seen: Seen, ended: ProcessExit, printed: str) -> None:
    """Return where the run is a measurement, its numbers right or wrong; else raise `HarnessError` or `DeviceError`.

    `printed` is what the harness printed, as far as it is kept, for the search for the first fault.
    """
    if ended.problem:
        raise HarnessError("platform-unavailable", f"the harness cannot be started: {ended.problem}")
    if ended.stopped is not Stop.NONE:
        raise _stopped(profile, seen, ended, printed)
    if any(not claim.passed for claim in seen.claims.values()):
        _require_own(profile, seen, printed)
        return  # measured, and wrong: for the gate
    if ended.exit_code == _NO_TESTS and profile.results.by == "junit" and not seen.claims:
        raise HarnessError("nothing-measured", f"no test was run; the last line is: {seen.last}")
    if ended.exit_code == 0:
        if profile.results.by == "lines":
            _require_pass(profile, seen)
        elif not seen.claims:
            raise HarnessError(
                "nothing-measured", f"exit code 0, but nothing was compared; {seen.missing or seen.last}"
            )
        return
    raise _signed(seen, printed) or _exited(seen, ended, printed)


def _require_own(profile: Profile, seen: Seen, printed: str) -> None:
    """Raise where a failure in a file of results is not, or not yet, the program's.

    A test report has one word for wrong numbers, an exception nobody knows and a machine without a compiler.
    """
    if profile.results.by == "lines":
        return
    first = _signed(seen, printed)
    if isinstance(first, DeviceError) or (first is not None and first.kind not in OWN_KINDS):
        raise first
    failed = {name: claim for name, claim in seen.claims.items() if not claim.passed}
    if profile.results.by == "junit" and not any(claim.how == ASSERTED for claim in failed.values()):
        name, claim = next(iter(failed.items()))
        told = " ".join(claim.detail.split("\n", 1)[0].split())
        raise HarnessError(f"unexplained-{claim.how}", f"{name}: {told or claim.how}", printed)


def _require_pass(profile: Profile, seen: Seen) -> None:
    """Each program of the file must have passed: one that began and was not looked at proves nothing."""
    if seen.unvalidated:
        raise HarnessError("nothing-measured", f"the harness compared nothing: {seen.unvalidated}")
    if not seen.passes:
        said = f"the last line is: {seen.last}" if seen.last else "it printed nothing"
        raise HarnessError("nothing-measured", f"exit code 0 without a pass line; {said}")
    several = f" of {len(seen.programs)}" if len(seen.programs) > 1 else ""
    for number, program in enumerate(seen.programs, start=1):
        which = f" ({program.name})" if program.name != str(number) else ""
        if not program.passes:
            raise HarnessError(
                "nothing-measured",
                f"exit code 0, but program {number}{several}{which} has no pass line; the last line is: {seen.last}",
            )
        if profile.lines.outputs_required and not program.outputs:
            whose = f"program {number}{several}{which}: " if several else ""
            raise HarnessError("nothing-measured", f"{whose}a pass line, but no output was compared")


def _stopped(profile: Profile, seen: Seen, ended: ProcessExit, printed: str) -> Exception:
    """The innermost message goes first: a device's own error says more than the limit it led to."""
    if ended.stopped is Stop.QUOTA:
        used = f"{ended.used_bytes / 1e6:.0f} MB of {profile.limits.disk_mb} MB"
        return HarnessError("disk-quota", f"the harness wrote more than it may ({used}) and was ended")
    if ended.stopped is Stop.LIMIT:
        return HarnessError("over-limit", f"the harness exceeded a limit ({ended.over}) and was ended")
    if ended.stopped is Stop.DISK:
        return HarnessError("disk-full", "no space left on the disk of the working directory; the harness was ended")
    limit = f"no end within {profile.limits.seconds:g} s; the harness and all it had started were killed"
    stuck = f"; these do not die: {', '.join(ended.stuck)}" if ended.stuck else ""
    inner = _signed(seen, printed)
    if isinstance(inner, DeviceError):
        return DeviceError(inner.code, f"{inner.summary}; then {limit}{stuck}", printed)
    if inner is not None:
        return HarnessError(inner.kind, f"{inner.summary}; then {limit}{stuck}")
    said = f"; its last line: {seen.last}" if seen.last else ""
    return HarnessError("hang", limit + stuck + said, printed)


def _signed(seen: Seen, printed: str) -> HarnessError | DeviceError | None:
    """What the signature of the highest rank that was seen says."""
    if not seen.signs:
        return None
    sign = seen.signs[min(seen.signs)]
    if sign.kind == "device":
        return DeviceError(sign.code or "unknown", sign.line, printed)
    return HarnessError(sign.kind, sign.line)


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
    if code in _REFUSED and seen.refusal:
        return HarnessError("bad-argument", f"the file refuses an argument of the call: {seen.refusal}")
    if seen.exception:
        name = re.split(r"[^\w.]", seen.exception, maxsplit=1)[0].rpartition(".")[2]
        return HarnessError(f"unexplained-{name}", seen.exception, printed)
    told = f"exit code {code}, and no signature of the profile fits{said}"
    return HarnessError(f"unexplained-exit-{code}", told, printed)

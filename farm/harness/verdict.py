"""The verdict of each file of a harness's run, and of the run. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from farm.analysis.time_remarks import remarks
from farm.model.run import FileRecord, FileStatus, Finding, GateRecord, GateStatus, Verdict
from farm.text import counted
from jobs.records import Failure, TrialRecord, TrialStatus
from kernel.harness.head import Head

_NAMED = 3  # files in the run's one sentence
_NO_PASS = (GateStatus.ERRORED, GateStatus.INCONCLUSIVE)  # noise that hides the answer is no pass either


def file_records(
    heads: Mapping[str, Head],
    skipped: Mapping[str, str],
    trials: Sequence[TrialRecord],
    gates: Sequence[GateRecord],
    guilt: Mapping[str, Sequence[Failure]],
    planned: Mapping[str, int],
    unreached: str,
) -> list[FileRecord]:
    """One record for each file, by path.

    `guilt` is what is proven to be the file's own fault, `planned` how many trials each file must have, and `unreached`
    why a trial that is not there is not.
    """
    by_file: dict[str, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        by_file[trial.case].append(trial)
    made = []
    for file, head in heads.items():
        status, reason = _status(file, by_file[file], gates, guilt.get(file, ()), planned[file], unreached)
        made.append(FileRecord(file=file, status=status, reason=reason, devices=head.devices))
    made += [FileRecord(file=file, status=FileStatus.SKIPPED, reason=why) for file, why in skipped.items()]
    return sorted(made, key=lambda record: record.file)


def verdict(files: Sequence[FileRecord]) -> tuple[Verdict, str]:
    """The gravest file decides; the reason counts them all. Nothing measured is errored, whatever was skipped."""
    whole = counted(len(files), "file")
    counts = Counter(record.status for record in files)
    told = ", ".join(f"{counts[status]} {status.value}" for status in FileStatus if counts[status])
    for status, found in ((FileStatus.FAILED, Verdict.FAILED), (FileStatus.ERRORED, Verdict.ERRORED)):
        if counts[status]:
            named = [f"{record.file}: {record.reason}" for record in files if record.status is status]
            more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            return found, f"{told} of {whole}; {'; '.join(named[:_NAMED])}{more}"
    if not counts[FileStatus.PASSED]:
        return Verdict.ERRORED, f"nothing was measured: {told or 'no file'} of {whole}"
    return Verdict.PASSED, f"{told} of {whole}"


def _status(
    file: str,
    trials: Sequence[TrialRecord],
    gates: Sequence[GateRecord],
    guilt: Sequence[Failure],
    repeats: int,
    unreached: str,
) -> tuple[FileStatus, str]:
    if guilt:
        return FileStatus.FAILED, _told(guilt[0])
    if found := _finding(file, gates, GateStatus.FAILED):
        return FileStatus.FAILED, found
    missing = repeats - _measured(trials)
    if missing > 0:
        lost = [each.failure for each in trials if each.failure is not None]
        why = _told(lost[-1]) if lost else unreached
        return FileStatus.ERRORED, why if missing == repeats else f"{missing} of {repeats} trials were lost; {why}"
    for status in _NO_PASS:
        if found := _finding(file, gates, status):
            return FileStatus.ERRORED, found
    outputs = {name for trial in trials for name in trial.claims}
    told = f"{counted(len(outputs), 'output')} in {counted(repeats, 'trial')}"
    return FileStatus.PASSED, f"{told}{_claimed(trials)}{''.join(f'; {each}' for each in remarks(trials))}"


def _claimed(trials: Sequence[TrialRecord]) -> str:
    """Say where the bits were digested by the program itself; "" where they were not."""
    own = any(claim.digest_by == "process" for trial in trials for claim in trial.claims.values())
    return "; the digests are the program's own claim" if own else ""


def _told(failure: Failure) -> str:
    return failure.message if failure.message.startswith(failure.kind) else f"{failure.kind}: {failure.message}"


def _finding(file: str, gates: Sequence[GateRecord], status: GateStatus) -> str:
    """The first finding of `status` on `file`, in one line; "" where there is none."""
    for gate in gates:
        for finding in gate.findings:
            if finding.case == file and (finding.status or gate.status) is status:
                return f"{gate.name}: {_place(finding)}{finding.message}"
    return ""


def _place(finding: Finding) -> str:
    return f"output {finding.output}: " if finding.output else ""


def _measured(trials: Sequence[TrialRecord]) -> int:
    return sum(trial.status is TrialStatus.OK for trial in trials)

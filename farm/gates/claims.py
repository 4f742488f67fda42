"""Every output of every trial passed by the word of the harness that compared it."""

from __future__ import annotations

from dataclasses import dataclass

from farm.gates import each_output
from farm.gates.protocol import Evidence
from farm.model.run import GateRecord
from jobs.records import ClaimRecord, TrialRecord


@dataclass(frozen=True, slots=True)
class ClaimGate:
    """The tolerance gate of programs that compare themselves: the farm has not seen the numbers."""

    name = "tolerance"

    outputs_required: bool = True  # False where a pass line without the name of an output is one

    def judge(self, evidence: Evidence) -> GateRecord:
        """Failed with one finding for each output that is wrong, errored where a case has no trusted trial."""
        return each_output.judge(self.name, evidence, "compared", _complaints, self.outputs_required)


def _complaints(trial: TrialRecord) -> dict[str, str]:
    return {name: "" if claim.passed else describe(claim) for name, claim in trial.claims.items()}


def describe(claim: ClaimRecord) -> str:
    """One line on an output that is wrong."""
    parts = [] if claim.wrong is None else [f"{claim.wrong} of {claim.total} elements are wrong"]
    if claim.max_abs_err is not None:
        parts.append(f"largest error {claim.max_abs_err:g}")
    if claim.first:
        parts.append(f"the first: {claim.first}")
    return "; ".join(parts) or claim.detail or "wrong by the harness's word, which says no more"

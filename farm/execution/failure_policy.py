"""Whose fault the failures of a run are, as its trials come in.

What one occurrence proves is the kernel's at once. What may be anyone's (`Action.ASK_ANOTHER_CARD`, `RETRY_ONCE`) is
the kernel's when two healthy physical cards say the same of the same case. A retry never takes a kernel's failure back.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from jobs.faults import diagnosis
from jobs.faults.model import Action
from jobs.records import Failure, Fault, TrialRecord, TrialStatus
from kernel.clock import Clock

WITNESSES = 2

_AMBIGUOUS = (Action.ASK_ANOTHER_CARD, Action.RETRY_ONCE)


def leaves_device_well(trial: TrialRecord) -> bool:
    """Whether its device needs no canary after `trial`, whose program had a process of its own.

    A simulated device has no state that a program's own failure could spoil; a real one may have.
    """
    own = trial.status is TrialStatus.FAILED and trial.clock is Clock.SIMULATED
    return own or trial.status is TrialStatus.OK


@dataclass(slots=True)
class FailurePolicy:
    """The evidence against one kernel. A trial costs the same whether it is the first or the hundred-thousandth."""

    kernel: list[Failure] = field(default_factory=list)  # proven to be the kernel's, in the order of their proof
    _own: list[tuple[str, Failure]] = field(default_factory=list)  # (card, what it proves by itself)
    _said: dict[tuple[str, str], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    _distrusted: set[str] = field(default_factory=set)

    def take(self, trial: TrialRecord, card: str, trusted: bool = True) -> None:
        """Weigh one trial. `card` names the physical card in the cluster: two dies of one card are one witness.

        With `trusted` false the card is not a witness, as after `distrust`: its canary failed, for example.
        """
        failure = trial.failure
        if not trusted:
            self.distrust(card)
        if failure is None:
            return
        action = diagnosis.of_kind(failure.kind).action
        if action is Action.QUARANTINE:
            self.distrust(card)
        if card in self._distrusted:
            return
        if failure.fault is Fault.KERNEL:
            self._own.append((card, failure))
            self.kernel.append(failure)
        elif action in _AMBIGUOUS:
            self._testify(trial.case, failure.kind, card, trial.device)

    def distrust(self, card: str) -> None:
        """Discard what `card` reported and ignore it from now on: a broken card breaks every kernel."""
        if card in self._distrusted:
            return
        self._distrusted.add(card)
        before = len(self._own)
        self._own = [(witness, failure) for witness, failure in self._own if witness != card]
        heard = [said.pop(card, None) for said in self._said.values()]
        if len(self._own) < before or any(heard):
            agreed = [_agreed(*key, said) for key, said in self._said.items() if len(said) >= WITNESSES]
            self.kernel = [failure for _, failure in self._own] + agreed

    def _testify(self, case: str, kind: str, card: str, device: str) -> None:
        said = self._said[case, kind]
        if card not in said:
            said[card] = device
            if len(said) == WITNESSES:
                self.kernel.append(_agreed(case, kind, said))


def _agreed(case: str, kind: str, said: dict[str, str]) -> Failure:
    """What several cards say of one case; `said` is card → device."""
    devices = sorted(said.values())
    message = f"{kind} in case {case} on {len(devices)} devices ({', '.join(devices)})"
    return Failure(fault=Fault.KERNEL, kind=kind, message=message)

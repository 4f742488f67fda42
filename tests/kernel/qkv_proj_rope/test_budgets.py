"""The kernel's budget file: readable, complete, and below the times the kernel has to beat."""

from __future__ import annotations

import pytest

from farm.model.budgets import load_budget
from kernel.qkv_proj_rope import KERNEL

# The framework's own kernel for this operator, without the attention norm, on the same cost model.
PEER_US = {"flash-t1": 91.7, "flash-t16": 99.0, "flash-s1": 121.8, "flash-s2": 149.4}


@pytest.mark.parametrize("case", list(KERNEL.cases))
def test_every_case_has_a_simulated_ceiling_and_a_landed_time(case: str) -> None:
    budget = load_budget(KERNEL.budgets(), "a2a3sim", case)
    assert budget is not None
    assert budget.ceiling_us == 545.0
    assert budget.source
    assert budget.ratchet_us is not None and budget.ratchet_us < budget.ceiling_us


def test_the_hardware_budget_is_the_published_one() -> None:
    budget = load_budget(KERNEL.budgets(), "a2a3", "flash-s2")
    assert budget is not None
    assert (budget.ceiling_us, budget.ratchet_us) == (545.0, None)


@pytest.mark.parametrize(("case", "peer_us"), PEER_US.items())
def test_the_landed_time_beats_the_peer(case: str, peer_us: float) -> None:
    budget = load_budget(KERNEL.budgets(), "a2a3sim", case)
    assert budget is not None and budget.ratchet_us is not None
    assert budget.ratchet_us < peer_us

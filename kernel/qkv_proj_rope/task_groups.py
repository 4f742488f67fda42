"""Merge counts by PyPTO task group, the form in which PyPTO receives how many equal cube tasks to merge into one.

PyPTO numbers the groups of equally built tasks in the order in which it meets them; -1 stands for every other group.
The products of wq_a and wkv are one group where both cover equally many rows of D, whatever their columns, and two
where they do not. The q-proj comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.qkv_proj_rope.tuning import ProjectionTuning

_OTHERS = -1


def cube_merges(tuning: ProjectionTuning) -> dict[int, int]:
    """How many products of a group become one task: `q_proj_merge` of the q-proj, one of every other group."""
    q_proj = 1 if tuning.split_k == tuning.kv_split_k else 2
    return {_OTHERS: 1, q_proj: tuning.q_proj_merge}


def l1_merges(tuning: ProjectionTuning) -> dict[int, int]:
    """The same for products that load the same operand."""
    return {_OTHERS: tuning.l1_reuse}

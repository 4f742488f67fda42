"""What of a repository judges: its goldens, tolerances and comparisons. Changes of these wait for an approval."""

from __future__ import annotations

from pydantic import Field

from kernel.harness.profile_sections import ProfileSection


class Rules(ProfileSection):
    """All are globs. Functions and names are compared by syntax tree: comments and layout are no change."""

    files: list[str] = Field(default_factory=list)  # paths of which every change counts
    functions: list[str] = Field(
        default_factory=lambda: ["golden*", "*_golden", "*reference*", "compare*", "validate*"]
    )
    # Of keyword arguments, assigned variables and string keys of dictionaries, with the values they are given.
    names: list[str] = Field(
        default_factory=lambda: ["rtol", "atol", "*tolerance*", "golden*", "compare*", "*threshold*"]
    )

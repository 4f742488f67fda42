"""A [[repository]] of `farm.toml`."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ci.config.secrets import loading, wrong
from ci.config.section import RepositoryName
from ci.config.target import Judge, Target, TargetSection, platforms_for, targets_of
from farm.analysis.plausible_gain import LEAST

RULES = ("**/budgets.toml", "**/tolerances.toml", "**/golden.py", "**/inputs.py", "**/farm.toml")
# Where a suite is among the targets: what its files compare with, and what decides which of its tests are run.
SUITE_RULES = ("**/golden/**", "**/golden_*.py", "**/tolerance*", "**/conftest.py", "**/pytest.ini", "**/tox.ini")
DOCUMENTS = ("**/*.md", "**/*.rst", "docs/**", "LICENSE*", ".gitignore")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class RepositorySection(Judge):
    """One repository whose pull requests are validated: by one kernel, one suite, or several targets."""

    name: RepositoryName  # "owner/name"
    forge: str = "github"  # name of a [forge.NAME]
    targets: list[TargetSection] = Field(default_factory=list)
    platform: str = "a2a3sim"
    devices: int = Field(default=3, ge=1, le=1024)
    repeats: int = Field(default=3, ge=1, le=1000)
    check_name: str = Field(default="npu-kernel-farm", min_length=1, max_length=100)
    target_checks: bool = False  # a check of its own for each target, beside the one that is required
    git: str = ""  # where commits are fetched; empty: the forge's own address of the repository
    # Git's glob patterns of what the gate judges by; a change of such a file is approved first.
    rules: list[str] = Field(default_factory=lambda: list(RULES))
    # The same of files that need not be exercised. A change of any other file outside the program is approved first.
    documents: list[str] = Field(default_factory=lambda: list(DOCUMENTS))

    # A commit that saves a larger share of its time waits for an approval, unless its history makes it plausible.
    plausible_gain: float = Field(default=LEAST, gt=0, le=1)

    @field_validator("git")
    @classmethod
    def _git_is_an_address(cls, address: str) -> str:
        parts = urlsplit(address)
        hosts = {"https": parts.hostname is not None, "http": parts.hostname in _LOOPBACK, "file": parts.path != ""}
        if address and not hosts.get(parts.scheme, False):
            raise wrong("write https://HOST/PATH or file:///PATH; http:// is for this machine only")
        if "@" in parts.netloc:
            raise wrong("no name or password here; the forge's credential is used")
        return address

    @field_validator("name")
    @classmethod
    def _is_named_once(cls, name: str, info: ValidationInfo) -> str:
        if loading(info)["names"][name.lower()] > 1:
            raise wrong("configured more than once; keep one [[repository]]")
        return name

    @field_validator("forge")
    @classmethod
    def _forge_exists(cls, forge: str, info: ValidationInfo) -> str:
        known = loading(info)["forges"]
        if forge not in known:
            raise wrong(f"no such forge; add [forge.{forge}] or use one of: {', '.join(known) or 'none yet'}")
        return forge

    @model_validator(mode="after")
    def _judges_by_something(self) -> RepositorySection:
        self._require_one(bool(self.kernel) + bool(self.suite) + bool(self.targets), "kernel, suite and targets")
        if self.targets and self.paths:
            raise wrong("paths belong to one target; write them into its entry of targets")
        names = [each.name for each in self.judged_by()]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise wrong(f"two targets are named {twice[0]}; give one of them a name of its own")
        for each in self.judged_by():
            if each.witnesses > each.devices:
                raise wrong(
                    f"{each.name} has {each.witnesses} witnesses on {each.devices} devices; take fewer, or more devices"
                )
            known = platforms_for(each)
            if each.platform not in known:
                said = f"platform: no platform '{each.platform}' for {each.name}"
                raise wrong(f"{said}; {'it has' if each.suite else 'installed are'}: {', '.join(known)}")
        return self

    def judged_by(self) -> list[Target]:
        """Return the targets in order. A kernel that is named is left out of those that `"*"` stands for."""
        defaults = (self.platform, self.devices, self.repeats)
        if not self.targets:
            return targets_of(self, None, *defaults)
        found = [
            target
            for entry in self.targets
            for target in targets_of(
                entry,
                entry.name,
                entry.platform or self.platform,
                entry.devices or self.devices,
                entry.repeats or self.repeats,
            )
        ]
        named = {each.kernel for each in found if each.kernel and not each.optional}
        return [each for each in found if not (each.optional and each.kernel in named)]

    def rules_in_force(self) -> list[str]:
        """Return the patterns of files by which its targets judge."""
        suites = any(entry.suite for entry in (self, *self.targets))
        return [*self.rules, *SUITE_RULES] if suites and "rules" not in self.model_fields_set else self.rules

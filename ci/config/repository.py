"""A [[repository]] of `farm.toml`."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from ci.config.secrets import loading, wrong
from ci.config.section import RepositoryName, Section, require_cases
from farm.analysis.plausible_gain import LEAST
from kernel.registry import kernel_names, platform_names

RULES = ("**/budgets.toml", "**/tolerances.toml", "**/golden.py", "**/inputs.py", "**/farm.toml")
DOCUMENTS = ("**/*.md", "**/*.rst", "docs/**", "LICENSE*", ".gitignore")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class RepositorySection(Section):
    """One repository whose pull requests are validated."""

    name: RepositoryName  # "owner/name"
    forge: str = "github"  # name of a [forge.NAME]
    kernel: str
    cases: list[str] = Field(default_factory=list)  # empty: the kernel's own
    platform: str = "a2a3sim"
    devices: int = Field(default=3, ge=1, le=1024)
    repeats: int = Field(default=3, ge=1, le=1000)
    check_name: str = Field(default="npu-kernel-farm", min_length=1, max_length=100)
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

    @field_validator("kernel")
    @classmethod
    def _kernel_exists(cls, kernel: str) -> str:
        if kernel not in kernel_names():
            raise wrong(f"no such kernel; installed are: {', '.join(kernel_names()) or 'none'}")
        return kernel

    @field_validator("cases")
    @classmethod
    def _cases_exist(cls, cases: list[str], info: ValidationInfo) -> list[str]:
        if not cases or "kernel" not in info.data:  # an unknown kernel is a problem of its own
            return cases
        require_cases(info.data["kernel"], cases)
        return cases

    @field_validator("platform")
    @classmethod
    def _platform_exists(cls, platform: str) -> str:
        if platform not in platform_names():
            raise wrong(f"no such platform; installed are: {', '.join(platform_names())}")
        return platform

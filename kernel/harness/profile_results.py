"""The tables of a profile that say where a run's verdict and times are found, beside what it prints."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kernel.harness.profile_sections import Below, Pattern, ProfileSection

UNITS = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}  # in µs


class Results(ProfileSection):
    """Who says whether the run is right: the lines it prints, its exit code, or a file that it leaves."""

    by: Literal["lines", "exit", "junit", "csv", "json"] = "lines"
    failing: list[int] = Field(default_factory=list)  # by exit: codes with which it says itself that results are wrong
    file: Below = ""  # by a file: a glob below the working directory; the last match counts
    rows: str = ""  # in JSON: dotted path to the list of rows; "" where the file is the list
    name: str = ""  # column with the name of what was compared
    column: str = ""  # column with the answer
    passing: Pattern = ""  # what it holds where the row passed
    where: dict[str, Pattern] = Field(default_factory=dict)  # column → what a row that counts holds

    @model_validator(mode="after")
    def _whole(self) -> Results:
        if self.by in ("junit", "csv", "json") and not self.file:
            raise ValueError(f"by = '{self.by}' needs file, a glob below the working directory")
        if self.by in ("csv", "json") and not (self.name and self.column and self.passing):
            raise ValueError(f"by = '{self.by}' needs name, column and passing")
        if 0 in self.failing:
            raise ValueError("failing has 0, with which a program says that all went well")
        return self


class TimeFile(ProfileSection):
    """A file with times: `op_summary_*.csv` of msprof, `kernel_details.csv` of torch_npu.profiler, or anyone's."""

    file: Below  # a glob below the working directory; every match counts
    column: str = Field(min_length=1)  # "Task Duration(us)", "Duration(us)"
    rows: str = ""  # in JSON: dotted path to the list of rows
    where: dict[str, Pattern] = Field(default_factory=dict)  # column → what a row that counts holds
    unit: Literal["ns", "us", "ms", "s"] = "us"
    aggregate: Literal["sum", "mean", "median", "min", "max"] = "sum"  # of the rows, into the time of the run


class Tool(ProfileSection):
    """A part of the toolchain whose version stands in every record."""

    name: str = Field(min_length=1)
    command: list[str] = Field(min_length=1)  # prints the version; the first line counts. `{root}` is the repository


class Variant(ProfileSection):
    """A way to run a file that is a target of its own, "FILE[NAME]"; a file with variants is not run without."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=-]*$")
    arguments: list[str] = Field(min_length=1)  # as they are: ["--ep", "4"]
    files: list[str] = Field(min_length=1)  # globs on the path; `*` also matches `/`
    devices: int = Field(default=0, ge=0)  # one trial takes; 0: what the file's own mark says


class PerFile(ProfileSection):
    """What differs for some files."""

    files: list[str] = Field(min_length=1)  # globs on the path; `*` also matches `/`
    passed: Pattern = ""  # their pass line
    outputs_required: bool | None = None
    seconds: float | None = Field(default=None, gt=0)  # their time limit
    set: dict[str, str] = Field(default_factory=dict)  # further variables of their environment, as they are

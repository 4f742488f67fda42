"""A [[schedule]] of `farm.toml`: which jobs are queued at which times. `ci.queue.scheduler` queues them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Annotated, Literal

from apscheduler.triggers.cron import CronTrigger
from pydantic import Field, ValidationInfo, field_validator, model_validator

from ci.config.secrets import loading, wrong
from ci.config.section import RepositoryName, Section, require_cases

_SWEEP_ONLY = ("seeds", "repeats", "budget_minutes")
_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)  # any moment: whether an expression ever comes does not depend on it
# APScheduler counts the days of the week from Monday, crontab from Sunday.
_NUMBERED_WEEKDAY = re.compile(r"(?:^|[,-])\d")


class Schedule(Section):
    """Something that is queued again and again by itself."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    # When, as in crontab; days of the week by name. Where both a day of the month and one of the week are given, both
    # must hold.
    timezone: str = "UTC"
    cron: str
    kind: Literal["sweep", "baseline"]
    forge: str = "github"
    repository: RepositoryName  # whose kernel and platform are taken, and who gets the issue when it goes wrong
    branch: str = Field(default="main", min_length=1, max_length=250)  # of a baseline: its head is run
    target: str = ""  # of a repository with several; a sweep takes a kernel, a baseline all of them where it is empty
    cases: list[str] = Field(default_factory=list)  # empty: the repository's
    devices: int | None = Field(default=None, ge=1, le=1024)  # None: all healthy ones, or as the repository says
    seeds: int = Field(default=3, ge=1, le=1000)  # of a sweep, as the two below
    repeats: int = Field(default=2, ge=1, le=1000)
    budget_minutes: float = Field(default=240.0, gt=0, le=10_000)

    @field_validator("name")
    @classmethod
    def _is_named_once(cls, name: str, info: ValidationInfo) -> str:
        if loading(info)["schedules"][name] > 1:
            raise wrong("another [[schedule]] has this name; what has been done is remembered by name")
        return name

    @field_validator("timezone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            CronTrigger(timezone=zone)
        except (KeyError, ValueError, OSError) as error:
            raise wrong('no such time zone; write for example "UTC" or "Europe/Berlin"') from error
        return zone

    @field_validator("cron")
    @classmethod
    def _comes_at_all(cls, cron: str, info: ValidationInfo) -> str:
        fields = cron.split()
        if len(fields) == 5 and _NUMBERED_WEEKDAY.search(fields[4].split("/")[0]):
            raise wrong("write days of the week by name, for example mon-fri: their numbers mean different days")
        try:
            trigger = CronTrigger.from_crontab(cron, info.data.get("timezone", "UTC"))
        except ValueError as error:
            raise wrong(
                f'{error}; write five fields, for example "30 2 * * *" for every night at half past two'
            ) from error
        if trigger.get_next_fire_time(None, _EPOCH) is None:
            raise wrong("there is no such day")
        return cron

    @field_validator("repository")
    @classmethod
    def _repository_exists(cls, name: str, info: ValidationInfo) -> str:
        if (info.data.get("forge"), name.lower()) not in loading(info)["kernels"]:
            raise wrong(f"no [[repository]] of that name at forge '{info.data.get('forge')}'; add it")
        return name

    @field_validator("cases")
    @classmethod
    def _cases_exist(cls, cases: list[str], info: ValidationInfo) -> list[str]:
        kernel = loading(info)["kernels"].get((info.data.get("forge"), str(info.data.get("repository")).lower()))
        if cases and kernel:
            require_cases(kernel, cases)
        return cases

    @model_validator(mode="after")
    def _says_only_what_it_uses(self) -> Schedule:
        unused = _SWEEP_ONLY if self.kind == "baseline" else ("branch",)
        given = [key for key in unused if key in self.model_fields_set]
        if given:
            raise wrong(f"a {self.kind} does not use {', '.join(given)}; remove it")
        return self

    def next_after(self, moment: datetime) -> datetime:
        """The first time it is due after `moment`, in UTC.

        By local time where a `timezone` says so: due twice in an hour that comes twice, and an hour late where it is
        left out.
        """
        trigger = CronTrigger.from_crontab(self.cron, self.timezone)
        found: datetime | None = trigger.get_next_fire_time(
            None, moment.astimezone(timezone.utc) + timedelta(microseconds=1)
        )
        assert found is not None, "held by _comes_at_all"
        return found.astimezone(timezone.utc)

"""What this machine lacks to run the farm, and the remedy for each; looks only, changes nothing."""

from __future__ import annotations

import enum
import importlib
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from urllib.parse import quote

from pydantic import Field
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from farm import paths
from farm.process import ray_version
from farm.process.extras import MissingExtraError, named
from farm.process.extras import remedy as extra_remedy
from farm.text import counted
from jobs.records import Record
from jobs.sandbox import bubblewrap
from jobs.sandbox.bubblewrap import Isolation
from kernel.platforms.protocol import Missing
from kernel.registry import find_platform, platform_names

OLDEST_PYTHON = (3, 10)
NEWEST_PYTHON = (3, 13)  # PyPTO 0.2.0 has wheels for 3.10 to 3.12; the rest runs with 3.13 too
NEWEST_WITH_PYPTO = (3, 12)
TOOLS = {  # command → what it is for; on Debian each is a package of the same name
    "git": "names the commit in every report",
    "g++": "builds PyPTO's host calculator",
    "cmake": "builds PyPTO's host calculator",
    "make": "builds PyPTO's host calculator",
}
FREE_DISK_GB = 2.0  # one run of the largest case leaves some hundred MB of logs and traces, the build cache as much


class Status(str, enum.Enum):
    """What one check found."""

    OK = "ok"
    PROBLEM = "problem"  # the asked platform cannot run until it is remedied
    NOTE = "note"  # worth knowing; nothing asked for needs it


class DoctorCheck(Record):
    """One thing looked at."""

    name: str
    status: Status
    detail: str  # what was found, one line
    remedy: str = ""  # what to do about it; "" where nothing needs doing


class Diagnosis(Record):
    """Everything looked at for one platform."""

    platform: str
    ready: bool  # no check is a problem
    checks: list[DoctorCheck] = Field(default_factory=list)


def diagnose(platform: str) -> Diagnosis:
    """Look at everything `platform` needs here. Raises `UnknownNameError` for a platform nobody installed."""
    asked = check_platform(platform, asked=True)
    others = [check_platform(name, asked=False) for name in platform_names() if name != platform]
    checks = [
        check_python(sys.version_info[:3]),
        *(check_tool(tool) for tool in TOOLS),
        check_ray(),
        *check_sandbox(bubblewrap.isolation()),
        asked,
        *others,
        check_home(paths.home()),
        check_disk(paths.home()),
        check_store(paths.store_url()),
    ]
    return Diagnosis(platform=platform, ready=all(each.status is not Status.PROBLEM for each in checks), checks=checks)


def check_python(version: tuple[int, ...]) -> DoctorCheck:
    """This interpreter's version."""
    text = ".".join(map(str, version))
    if OLDEST_PYTHON <= version[:2] <= NEWEST_WITH_PYPTO:
        return DoctorCheck(name="python", status=Status.OK, detail=text)
    remedy = "make clean, then make setup PYTHON=python3.12 (3.10 and 3.11 will do as well)"
    if NEWEST_WITH_PYPTO < version[:2] <= NEWEST_PYTHON:
        detail = f"{text}; enough for suites and the service, PyPTO needs 3.10 to 3.12"
        return DoctorCheck(name="python", status=Status.NOTE, detail=detail, remedy=remedy)
    return DoctorCheck(name="python", status=Status.PROBLEM, detail=f"{text}; PyPTO needs 3.10 to 3.12", remedy=remedy)


def check_tool(command: str) -> DoctorCheck:
    """Whether `command` is on `PATH`."""
    found = shutil.which(command)
    if found:
        return DoctorCheck(name=command, status=Status.OK, detail=found)
    # A run without git is a run like any other, except that its report cannot name the commit.
    status = Status.NOTE if command == "git" else Status.PROBLEM
    remedy = f"apt-get install {command}"
    return DoctorCheck(name=command, status=status, detail=f"not on PATH; {TOOLS[command]}", remedy=remedy)


def check_ray() -> DoctorCheck:
    """Whether Ray can be imported, and is of a version that was tried."""
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        return DoctorCheck(
            name="ray", status=Status.PROBLEM, detail=f"cannot be imported: {error}", remedy="make setup"
        )
    if told := ray_version.problem():
        problem, _, remedy = told.partition("; ")
        return DoctorCheck(name="ray", status=Status.PROBLEM, detail=problem, remedy=remedy)
    return DoctorCheck(name="ray", status=Status.OK, detail=str(ray.__version__))


def check_sandbox(found: Isolation) -> list[DoctorCheck]:
    """Whether a commit's program (`farm run --source`) can be isolated; a note for each means that is missing."""
    if not found.bubblewrap:
        remedy = "apt-get install bubblewrap"
        return [DoctorCheck(name="sandbox", status=Status.NOTE, detail=found.lacks, remedy=remedy)]
    return [
        DoctorCheck(name="sandbox", status=Status.OK, detail="bubblewrap"),
        *(
            DoctorCheck(
                name="sandbox",
                status=Status.NOTE,
                detail=f"no {gap.means.removeprefix('a ')}: {gap.why}; {gap.leaves}",
                remedy=gap.remedy,
            )
            for gap in found.gaps
        ),
    ]


def check_platform(name: str, asked: bool) -> DoctorCheck:
    """Whether the platform `name` can run here: a problem where it was asked for, a note otherwise."""
    label = f"platform {name}"
    try:
        missing = find_platform(name).missing()
    except ImportError as error:
        missing = [Missing(str(error.name or "package"), str(error), "make setup")]
    if not missing:
        return DoctorCheck(name=label, status=Status.OK, detail="can run here")
    return DoctorCheck(
        name=label,
        status=Status.PROBLEM if asked else Status.NOTE,
        detail="cannot run here: " + "; ".join(f"{each.what} is missing ({each.why})" for each in missing),
        remedy="; ".join(dict.fromkeys(each.remedy for each in missing)),
    )


def check_home(home: Path) -> DoctorCheck:
    """Whether the farm may write to `home`, which need not exist yet."""
    place = _nearest_existing(home)
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return DoctorCheck(name="home", status=Status.OK, detail=str(home))
    remedy = "set FARM_HOME to a directory you may write to"
    return DoctorCheck(name="home", status=Status.PROBLEM, detail=f"{home} cannot be written", remedy=remedy)


def check_disk(home: Path) -> DoctorCheck:
    """Whether the disk that holds `home` has room for builds, logs and traces."""
    free_gb = shutil.disk_usage(_nearest_existing(home)).free / 1e9
    if free_gb > FREE_DISK_GB:
        return DoctorCheck(name="disk", status=Status.OK, detail=f"{free_gb:.0f} GB free")
    return DoctorCheck(
        name="disk",
        status=Status.PROBLEM,
        detail=f"{free_gb:.1f} GB free below {home}, {FREE_DISK_GB:.0f} GB are needed",
        remedy=f"free some, or set FARM_HOME to another disk; {home / 'cache'} is safe to delete",
    )


def check_store(url: str) -> DoctorCheck:
    """Whether the store at SQLAlchemy `url` can be read. A SQLite file that is not there yet is well."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _check_sqlite(Path(parsed.database or ""))
        engine = create_engine(parsed)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        missing = named(error)
        how = extra_remedy(missing.extra) if isinstance(missing, MissingExtraError) else f"pip install {error.name}"
        return DoctorCheck(name="store", status=Status.PROBLEM, detail=f"{error.name} is missing", remedy=how)
    except ArgumentError:
        remedy = "set FARM_STORE to a SQLAlchemy URL, or unset it for a SQLite file"
        return DoctorCheck(name="store", status=Status.PROBLEM, detail="FARM_STORE is no database URL", remedy=remedy)
    except SQLAlchemyError as error:
        detail = f"{parsed.render_as_string()} does not answer: {str(error).splitlines()[0]}"
        return DoctorCheck(name="store", status=Status.PROBLEM, detail=detail, remedy="start it, or correct FARM_STORE")
    return DoctorCheck(name="store", status=Status.OK, detail=parsed.render_as_string())


def _check_sqlite(path: Path) -> DoctorCheck:
    if not path.exists():
        return DoctorCheck(name="store", status=Status.OK, detail=f"{path} (the first run makes it)")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            connection.execute("PRAGMA schema_version").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        remedy = "give yourself read and write access, or set FARM_STORE"
        return DoctorCheck(name="store", status=Status.PROBLEM, detail=f"{path} cannot be read: {error}", remedy=remedy)
    except sqlite3.DatabaseError as error:
        remedy = "nothing to do: the next command moves it aside and begins a fresh one"
        return DoctorCheck(name="store", status=Status.NOTE, detail=f"{path} is damaged: {error}", remedy=remedy)
    return DoctorCheck(name="store", status=Status.OK, detail=str(path))


def _nearest_existing(path: Path) -> Path:
    """`path`, or the closest directory above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def conclusion(diagnosis: Diagnosis) -> str:
    """The diagnosis in one line."""
    if diagnosis.ready:
        return f"ready: platform {diagnosis.platform} can run here"
    count = sum(each.status is Status.PROBLEM for each in diagnosis.checks)
    return f"not ready: {counted(count, 'problem')} to remedy before platform {diagnosis.platform} can run here"

"""Which targets of a suite the changes of a commit concern, found without checking it out and without running it.

A program of its own, `python -m farm.harness.commit_changes`: it parses files that a stranger wrote, and what a parser
does with the worst of them must not end the process that asks. It reads a `ChangesRequest` as JSON and prints a
`SuiteChanges`; a commit that cannot be read ends it with exit code 2 and one line.
"""

from __future__ import annotations

import fnmatch
import resource
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import Field

from farm.errors import FarmError, UsageError
from farm.harness import changed_files, file_selection, workflows
from farm.harness.import_graph import ImportGraph
from farm.source.git_repository import GitRepository
from farm.source.whole_commit import whole_commit
from jobs.records import Record
from kernel.errors import KernelLayerError
from kernel.harness import profiles
from kernel.harness.profile import Profile
from kernel.harness.targets import file_of

REFUSED = 2  # exit code: the commit, or the request, is at fault

_MOST_MEMORY_BYTES = 4 << 30
_MOST_CPU_S = 300


class ChangesRequest(Record):
    """What is asked."""

    repository: str  # path of a git repository that has both commits
    head: str
    base: str
    suite: str
    platform: str
    files: list[str]  # globs; empty: the profile's own
    workflow: str = ""  # task or workflow of the profile; empty: every target
    changes: list[str]  # paths that differ, documents left out


class SuiteChanges(Record):
    """What the changes of a commit concern."""

    targets: list[str] = Field(default_factory=list)  # that are, or import, a changed file; or may depend on one
    exercised: list[str] = Field(default_factory=list)  # changed files that one of the targets is or imports
    ignored: list[str] = Field(default_factory=list)  # changed files that by the profile concern no target
    new: list[str] = Field(default_factory=list)  # of the targets: the base does not have them
    whole: bool = False  # the import graph does not show all that they concern: every target is to be run


def examine(asked: ChangesRequest) -> SuiteChanges:
    """Return what the changes concern. Raises `SourceError`, `ProfileError`, `UnknownNameError`."""
    profile, repository = profiles.find(asked.suite), GitRepository(Path(asked.repository))
    tree = dict(whole_commit(repository, asked.head).files)
    with tempfile.TemporaryDirectory(prefix="farm-changes-") as directory:
        root = Path(directory)
        _write(root, tree)
        targets = _targets(root, asked, profile)
        chosen, _ = changed_files.touched(targets, asked.changes, root, profile)
    ignored = {path for path in asked.changes if any(fnmatch.fnmatchcase(path, each) for each in profile.ignore)}
    exercised = _exercised(tree, targets, asked.changes, profile)
    hidden = ignored & exercised  # the profile says that it concerns nothing, and a target imports it
    reached = set(targets) if hidden else chosen & set(targets)
    before = _targets_before(repository, asked, {file_of(each, profile) for each in reached}, profile)
    return SuiteChanges(
        targets=sorted(reached),
        exercised=sorted(exercised),
        ignored=sorted(ignored - exercised),
        new=sorted(each for each in reached if file_of(each, profile) in asked.changes and each not in before),
        whole=bool(hidden),
    )


def _exercised(tree: dict[str, bytes], targets: Iterable[str], changes: Sequence[str], profile: Profile) -> set[str]:
    """Those of `changes` that a target is or imports. A link's own path is none of `tree`'s files, so it never is."""
    runs = {file_of(each, profile) for each in targets}
    sources = {path: text for path, text in tree.items() if path.endswith(".py")}
    gone = [path for path in changes if path.endswith(".py") and path not in tree]
    graph = ImportGraph.of(sources, gone, profile.imports)
    found = {path for path in changes if path in runs and path in tree}
    return found | {path for path in changes if path.endswith(".py") and graph.importing(path) & runs}


def _targets(root: Path, asked: ChangesRequest, profile: Profile) -> list[str]:
    """The targets below `root`; a pattern that matches nothing adds none."""
    found: dict[str, None] = {}
    for patterns in [[each] for each in asked.files] or [[]]:
        try:
            found.update(dict.fromkeys(file_selection.discover(root, patterns, profile, asked.platform).files))
        except UsageError:
            continue
    tasks = workflows.tasks_of(profile, asked.workflow) if asked.workflow else []
    return [each for each in found if not tasks or any(workflows.has(task, each, profile) for task in tasks)]


def _targets_before(repository: GitRepository, asked: ChangesRequest, files: set[str], profile: Profile) -> set[str]:
    """The targets that changed `files` were at the base."""
    changed = sorted(files & set(asked.changes))
    entries = [each for each in repository.listing(asked.base, changed) if each.path in files] if changed else []
    regular = [each for each in entries if each.mode.startswith("100")]
    with tempfile.TemporaryDirectory(prefix="farm-changes-") as directory:
        _write(Path(directory), dict(repository.contents(regular)))
        return set(_targets(Path(directory), asked, profile))


def _write(root: Path, files: dict[str, bytes]) -> None:
    for path, contents in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(contents)


def main() -> int:
    """Answer the request on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
    try:
        found = examine(ChangesRequest.model_validate_json(sys.stdin.buffer.read()))
    except (FarmError, KernelLayerError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return REFUSED
    sys.stdout.write(found.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A commit's program is read as bytes, and what is no plain file inside the repository is refused."""

from __future__ import annotations

import os
import stat
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from farm.model.run import SourceRequest
from farm.source import gate_rules, git_repository, programs
from farm.source.git_repository import GitRepository, SourceError
from jobs.kernel_process.description import cases_of
from jobs.sandbox.commit_kernel import Origin
from kernel.registry import find_kernel
from tests.fakes.installed import install
from tests.fakes.small_kernel import SmallKernel

PLACES = ("pack/kernel", "src/pack/kernel")


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(repository: Path, files: dict[str, str]) -> str:
    for path, text in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "--allow-empty", "-m", "change")
    return git(repository, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", "-b", "main", str(place)], check=True)
    commit(place, {"pack/kernel/__init__.py": "X = 1\n", "pack/kernel/deep/a b.toml": "", "other.py": "Y = 2\n"})
    return place


def test_a_program_is_its_files_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    read = GitRepository(repository)

    tree = read.program(read.commit("main"), PLACES)

    assert (tree.place, dict(tree.files)) == (
        "pack/kernel",
        {"pack/kernel/__init__.py": b"X = 1\n", "pack/kernel/deep/a b.toml": b""},
    )
    top = tree.unpack(tmp_path / "cache")
    assert (top / "pack/kernel/__init__.py").read_text() == "X = 1\n"
    assert stat.S_IMODE((top / "pack/kernel/__init__.py").stat().st_mode) == 0o444
    assert tree.unpack(tmp_path / "cache") == top


def test_equal_programs_of_two_commits_have_one_address(repository: Path) -> None:
    read = GitRepository(repository)
    before = read.program(read.commit("HEAD"), PLACES)
    commit(repository, {"other.py": "Y = 3\n"})
    same = read.program(read.commit("HEAD"), PLACES)
    commit(repository, {"pack/kernel/__init__.py": "X = 2\n"})
    other = read.program(read.commit("HEAD"), PLACES)

    assert before.address == same.address
    assert other.address != before.address


def test_a_bare_repository_will_do(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(repository), str(bare)], check=True)
    read = GitRepository(bare)

    assert read.program(read.commit("main"), PLACES).files
    assert not read.differs()


def test_filters_and_attributes_of_the_repository_are_not_run(repository: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    commit(repository, {".gitattributes": "* filter=evil ident eol=crlf\n", "pack/kernel/x.py": "$Id$\n"})
    git(repository, "config", "filter.evil.smudge", f"touch {ran}; cat")
    git(repository, "config", "filter.evil.process", f"touch {ran}")
    read = GitRepository(repository)

    files = dict(read.program(read.commit("HEAD"), PLACES).files)

    assert files["pack/kernel/x.py"] == b"$Id$\n"
    assert not ran.exists()


def test_a_symbolic_link_is_refused(repository: Path) -> None:
    (repository / "pack/kernel/link.py").symlink_to("/etc/passwd")
    head = commit(repository, {})

    with pytest.raises(SourceError, match=r"link\.py.* is a symbolic link"):
        GitRepository(repository).program(head, PLACES)


def test_a_submodule_is_refused(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    git(repository, "update-index", "--add", "--cacheinfo", f"160000,{head},pack/kernel/sub")
    git(repository, "commit", "-q", "-m", "submodule")

    with pytest.raises(SourceError, match="is a submodule"):
        GitRepository(repository).program(git(repository, "rev-parse", "HEAD"), PLACES)


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "a\\b", "new\nline"])
def test_an_odd_path_is_refused(repository: Path, name: str) -> None:
    """Made from objects, as an attacker would: git itself adds none of these."""
    blob = git(repository, "hash-object", "-w", "other.py")
    inner = _tree(repository, f"100644 blob {blob}\t{name}\0")
    kernel = _tree(repository, f"040000 tree {inner}\tkernel\0")
    top = _tree(repository, f"040000 tree {kernel}\tpack\0")
    head = git(repository, "commit-tree", "-m", "odd", top)

    with pytest.raises(SourceError, match="is no path for a file"):
        GitRepository(repository).program(head, PLACES)


def _tree(repository: Path, entries: str) -> str:
    command = ["git", "-C", str(repository), "mktree", "-z"]
    done = subprocess.run(command, input=entries, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_too_much_is_refused_before_it_is_read(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = GitRepository(repository).commit("HEAD")
    for limit, words in (
        ("MAX_FILES", "has 2 files"),
        ("MAX_FILE_BYTES", "a file has at most"),
        ("MAX_BYTES", "at most"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(git_repository, limit, 1)
            with pytest.raises(SourceError, match=words):
                GitRepository(repository).program(head, PLACES)


@pytest.mark.parametrize("name", ["", "--all", "nobody", "0123456789abcdef0123456789abcdef01234567", "a b"])
def test_what_is_no_commit_is_named(repository: Path, name: str) -> None:
    with pytest.raises(SourceError, match=f"there is no commit '{name}'"):
        GitRepository(repository).commit(name)


def test_what_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is no git repository"):
        GitRepository(tmp_path)
    with pytest.raises(SourceError, match="is no directory"):
        GitRepository(tmp_path / "nowhere")


def test_commits_without_a_common_ancestor_are_refused(repository: Path) -> None:
    read = GitRepository(repository)
    other = git(repository, "commit-tree", "-m", "orphan", git(repository, "rev-parse", "HEAD^{tree}"))

    with pytest.raises(SourceError, match="no common ancestor"):
        read.merge_base(read.commit("HEAD"), other)


def test_a_change_to_the_rules_is_found_in_either_comparison(repository: Path, tmp_path: Path) -> None:
    read = GitRepository(repository)
    base = commit(repository, {"jobs/trial.py": "old\n", "pack/kernel/golden.py": "G = 1\n"})
    head = commit(
        repository, {"jobs/trial.py": "new\n", "pack/kernel/golden.py": "G = 2\n", "pack/kernel/__init__.py": "X = 9\n"}
    )
    wanted = ("jobs/*", "pack/kernel/golden.py", "pack/kernel/budgets.toml")
    installed = tmp_path / "installed"
    (installed / "pack/kernel").mkdir(parents=True)
    (installed / "pack/kernel/golden.py").write_text("G = 1\n")

    assert gate_rules.changed_between(read, base, head, wanted) == ["jobs/trial.py", "pack/kernel/golden.py"]
    assert gate_rules.changed_from_installed(read, head, wanted, installed) == ["pack/kernel/golden.py"]
    assert gate_rules.changed_from_installed(read, base, wanted, installed) == []


def test_git_names_a_file_as_we_do(repository: Path) -> None:
    named = git(repository, "hash-object", "other.py")

    assert gate_rules.git_digest((repository / "other.py").read_bytes(), len(named)) == named


def test_git_is_given_no_configuration_to_obey(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")

    assert (
        GitRepository(repository).commit("HEAD")
        == subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=repository,
            env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )


def test_a_kernels_program_is_no_rule() -> None:
    place = "kernel/qkv_proj_rope"
    origin = Origin("kernel.qkv_proj_rope:KERNEL", "kernel.qkv_proj_rope", (place,))
    wanted = gate_rules.patterns(find_kernel("qkv_proj_rope"), origin, place)

    def is_rule(path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in wanted)

    judged = ["__init__.py", "stages.py", "program.py", "tunings.toml"]
    judging = [
        f"{place}/golden.py",
        f"{place}/budgets.toml",
        "kernel/spec.py",
        "kernel/platforms/a2a3sim.py",
        "farm/x.py",
    ]
    assert not any(is_rule(f"{place}/{name}") for name in judged)
    assert all(is_rule(path) for path in judging)


HOSTILE = """
import os
if os.getpid() == {driver}:
    open({trace!r}, "w").close()
from tests.fakes.small_kernel import SmallKernel
class Mine(SmallKernel):
    name = "mine"
    rules = ("judges.py",)
    def sources(self):
        import pathlib
        return (pathlib.Path(__file__),)
KERNEL = Mine()
"""


def test_a_kernel_of_another_package_is_not_loaded_where_the_verdict_is_made(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = tmp_path / "loaded"
    install(tmp_path / "site", monkeypatch, {}, {"mine": "mine_kernel:KERNEL"})
    (tmp_path / "site" / "mine_kernel.py").write_text(HOSTILE.format(driver=os.getpid(), trace=str(trace)))
    head = commit(repository, {"mine_kernel.py": "1", "judges.py": "other"})
    (tmp_path / "site" / "judges.py").write_text("installed")

    found = programs.read("mine", SourceRequest(repository=str(repository), commit=head, base=""))

    assert found.origin.module == "mine_kernel"
    assert found.rule_changes == ("judges.py",), "what the kernel itself calls its rules"
    assert cases_of("mine") == list(SmallKernel().cases)
    assert not trace.exists()

"""A real git repository with branches, pull requests' refs and a merge queue's, as a forge keeps them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SAYS = "kernel/qkv_proj_rope/says"  # what the recorded farm reads its verdict from
PROGRAM = "kernel/qkv_proj_rope/program.py"
_SECONDS = 1767225600
_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "somebody"), ("EMAIL", "somebody@example.org"), ("DATE", f"{_SECONDS} +0000"))
}


class GitRemote:
    """One repository below `directory`; its default branch has one commit."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self.url = directory.as_uri()
        self.git("init", "--quiet", "--bare", "--initial-branch", "main", str(directory), inside=False)
        self.main = self.commit({SAYS: "passed", "README.md": "kernels"}, ref="refs/heads/main")

    def commit(self, files: dict[str, str], *parents: str, ref: str = "") -> str:
        """A commit of `files` on top of the first parent's, where `ref` then points."""
        if ref:
            return self._imported(files, parents, ref)
        tree = dict(self._tree(parents[0])) if parents else {}
        tree |= {path: self.blob(text) for path, text in files.items()}
        return self.plant({path: ("100644", digest) for path, digest in tree.items()}, *parents, ref=ref)

    def _imported(self, files: dict[str, str], parents: tuple[str, ...], ref: str) -> str:
        """The same commit by one process in place of ten."""
        who = f"{_WHO['GIT_COMMITTER_NAME']} <{_WHO['GIT_COMMITTER_EMAIL']}> {_SECONDS} +0000"
        lines = [f"commit {ref}", "mark :1", f"committer {who}", "data 9", "a change", ""]
        lines += [
            f"{word} {parent}" for word, parent in zip(("from", *["merge"] * len(parents)), parents, strict=False)
        ]
        for path, text in files.items():
            lines += [f"M 100644 inline {path}", f"data {len(text.encode())}", text]
        stream = "\n".join([*lines, "", "get-mark :1", ""])
        return self.git("-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", "--force", text=stream)

    def blob(self, text: str) -> str:
        """The object that holds a file's text."""
        return self.git("hash-object", "-w", "--stdin", text=text)

    def plant(self, entries: dict[str, tuple[str, str]], *parents: str, ref: str = "") -> str:
        """A commit of exactly `entries` (path → mode and object), links and submodules included."""
        index = {"GIT_INDEX_FILE": str(self.path / "test-index")}
        listed = "".join(f"{mode} {digest}\t{path}\n" for path, (mode, digest) in entries.items())
        self.git("read-tree", "--empty", env=index)
        self.git("update-index", "--index-info", text=listed, env=index)
        tree = self.git("write-tree", env=index)
        words = [word for parent in parents for word in ("-p", parent)]
        made = self.git("commit-tree", tree, *words, "-m", "a change")
        if ref:
            self.git("update-ref", ref, made)
        return made

    def bomb(self, path: str, levels: int, ref: str = "refs/pull/7/head") -> str:
        """A commit with a few objects, whose `path` lists as ten to the power of `levels` files."""
        line = f"100644 blob {self.blob('x')}\tfile"
        for _ in range(levels):
            tree = self.git("mktree", text="".join(f"{line}{number}\n" for number in range(10)))
            line = f"040000 tree {tree}\tdirectory"
        top, _, below = path.partition("/")
        if below:
            tree = self.git("mktree", text=f"040000 tree {tree}\t{below}\n")
        others = [each for each in self.git("ls-tree", self.main).splitlines() if not each.endswith(f"\t{top}")]
        whole = self.git("mktree", text="".join(f"{each}\n" for each in [*others, f"040000 tree {tree}\t{top}"]))
        made = self.git("commit-tree", whole, "-p", self.main, "-m", "a change")
        self.git("update-ref", ref, made)
        return made

    def pull(self, number: int, files: dict[str, str], base: str = "") -> str:
        """A commit that only the ref of a pull request leads to, as that of a fork."""
        return self.commit(files, base or self.main, ref=f"refs/pull/{number}/head")

    def _tree(self, commit: str) -> list[tuple[str, str]]:
        lines = self.git("ls-tree", "-r", commit).splitlines()
        return [(line.partition("\t")[2], line.split()[2]) for line in lines]

    def git(self, *words: str, text: str = "", inside: bool = True, env: dict[str, str] | None = None) -> str:
        place = ["--git-dir", str(self.path)] if inside else []
        given = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent", **_WHO, **(env or {})}
        done = subprocess.run(
            ["git", *place, *words], input=text, capture_output=True, text=True, check=True, env=given
        )
        return done.stdout.strip()

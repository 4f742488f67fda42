"""Which rules of a suite's repository a commit changes: what judges there is the repository's own code.

Files are compared as a whole; functions and named values by syntax tree, so that comments and layout are no change.
Nothing of either commit is run.
"""

from __future__ import annotations

import ast
import fnmatch
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from farm.source.whole_commit import changed_paths
from jobs.sandbox.source_tree import Tree
from kernel.harness.profile import Profile
from kernel.harness.profile_rules import Rules


def changed_rules(head: Tree, base: Tree, profile: Profile, targets: Collection[str]) -> list[str]:
    """Return a line for each rule that `head` has otherwise than `base`.

    `targets` are the files that judge themselves: one that `base` does not have brings rules that nobody has seen.
    """
    ours, theirs = dict(head.files), dict(base.files)
    found = []
    for path in changed_paths(head, base):
        if _matches(path, profile.rules.files):
            found.append(path)
        elif path in targets and path not in theirs:
            found.append(f"{path} (new: it brings its own golden and tolerances)")
        elif path.endswith(".py"):
            then, now = _rules_of(theirs.get(path, b""), profile.rules), _rules_of(ours.get(path, b""), profile.rules)
            if then is None or now is None:
                found.append(f"{path} (cannot be read as Python)")
            else:
                found += [f"{path}: {name}" for name in sorted({name for name, _ in (then - now) + (now - then)})]
    return found


def _rules_of(contents: bytes, rules: Rules) -> Counter[tuple[str, str]] | None:
    """(name, syntax tree) of every rule in a file, None where it is not Python."""
    try:
        return Counter(_rules_in(ast.parse(contents), rules))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _rules_in(tree: ast.AST, rules: Rules) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _matches(node.name, rules.functions):
            yield node.name, ast.dump(node)
        for name, value in _given(node):
            if _matches(name, rules.names):
                yield name, ast.dump(value)


def _given(node: ast.AST) -> Iterable[tuple[str, ast.AST]]:
    """Names that `node` gives values to."""
    if isinstance(node, ast.keyword) and node.arg:
        yield node.arg, node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield from ((name, node.value) for name in _names(target))
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign)) and node.value is not None:
        yield from ((name, node.value) for name in _names(node.target))
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value
    elif isinstance(node, ast.arguments):
        positional = [*node.posonlyargs, *node.args]
        for argument, default in zip(positional[len(positional) - len(node.defaults) :], node.defaults, strict=True):
            yield argument.arg, default
        for argument, default_or_none in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            if default_or_none is not None:
                yield argument.arg, default_or_none


def _names(target: ast.AST) -> Iterator[str]:
    for node in ast.walk(target):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, each) for each in globs)

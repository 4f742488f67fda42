"""Which changes are tried: mutmut's own, without those of prose, and those that drop a condition.

A gate is wrong most often by a condition that is not there: a filter that lets a suspect's time through, half of an
`and`. mutmut turns conditions around and leaves none out, so three operators here leave them out. What a message says
is for the tests of messages: of a text with a space in it no mutant is made.
"""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst
from mutmut.mutation import mutators


def install() -> None:
    """Make mutmut use the operators of this module; its list is replaced in place, since others hold it."""
    kept = [(kind, made) for kind, made in mutators.mutation_operators if made is not mutators.operator_string]
    own = [
        (cst.BaseString, name),
        (cst.BooleanOperation, operand),
        (cst.CompFor, without_filter),
        (cst.If, never_taken),
    ]
    mutators.mutation_operators[:] = [*kept, *own]  # type: ignore[index]


def name(node: cst.BaseString) -> Iterable[cst.BaseString]:
    """Yield another text for a name, a key or an empty text; nothing for prose."""
    if isinstance(node, cst.SimpleString) and " " not in node.value and not node.value.startswith(('"""', "'''")):
        yield from list(mutators.operator_string(node))[:1]


def operand(node: cst.BooleanOperation) -> Iterable[cst.BaseExpression]:
    """Yield each side of `and` and `or` alone."""
    yield node.left
    yield node.right


def without_filter(node: cst.CompFor) -> Iterable[cst.CompFor]:
    """Yield a comprehension's `for` without each of its `if`s."""
    for index in range(len(node.ifs)):
        yield node.with_changes(ifs=[*node.ifs[:index], *node.ifs[index + 1 :]])


def never_taken(node: cst.If) -> Iterable[cst.If]:
    """Yield an `if` whose branch is never taken. A walrus in it still runs: what follows may use its name."""
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.BooleanOperation(left=test, operator=cst.And(), right=cst.Name("False")))

"""One Python file that can be run by itself: the arguments with which it takes its platform and its device. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_PLATFORM = ("--platform", "-p", "--run_mode", "--run-mode", "--backend")
_DEVICE = ("--device", "--device-id", "--device_id", "-d", "--npu", "--npu-id", "--npu_id")


@dataclass(frozen=True, slots=True)
class Script:
    """What its argument parser says."""

    path: str
    platform: str = ""  # the option; "" where it has none
    platforms: tuple[str, ...] = ()  # its choices
    device: str = ""  # the option


def script(path: str, tree: ast.AST) -> Script:
    """Return what the calls of `add_argument` in `tree` say."""
    platform = device = ""
    platforms: tuple[str, ...] = ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            names = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if option := _first(names, _PLATFORM):
                platform, platforms = option, _choices(node)
            if option := _first(names, _DEVICE):
                device = option
    return Script(path, platform, platforms, device)


def _first(names: list[str], wanted: tuple[str, ...]) -> str:
    """The first of `names` where any of them is wanted: the shortest way to write the option."""
    return names[0] if set(names) & set(wanted) and re.fullmatch(r"--?[\w-]+", names[0]) else ""


def _choices(call: ast.Call) -> tuple[str, ...]:
    found = next((each.value for each in call.keywords if each.arg == "choices"), None)
    values = found.elts if isinstance(found, (ast.List, ast.Tuple, ast.Set)) else []
    return tuple(each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str))

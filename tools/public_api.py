"""The Python API as one stub file, and what a change to it breaks for those who use it.

    python -m tools.public_api     print the stub of `import farm` as it is now

griffe reads the sources and compares names, parameters and bases; types and values of attributes, which it leaves
alone, are compared here. Nothing is imported. The stub has each public name once, wherever it is defined, with its own
members, so that moving a definition does not count as a change.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import griffe

from tools.set_up import ROOT

PACKAGE = "farm"


def stub() -> str:
    """Every name of `farm.__all__` as Python source without bodies."""
    package = griffe.load(PACKAGE, search_paths=[str(ROOT)], submodules=True, allow_inspection=False)
    griffe.load("jobs", search_paths=[str(ROOT)], modules_collection=package.modules_collection, allow_inspection=False)
    names = [str(name) for name in package.exports or [] if name != "__version__"]
    return "\n".join(_definition(package[name]) for name in sorted(names))


def breakages(released: str, now: str) -> list[str]:
    """What stopped working between two stubs, one line each; empty where everything that worked still does."""
    old, new = _loaded(released), _loaded(now)
    return [_line(breakage) for breakage in griffe.find_breaking_changes(old, new)] + _other_attributes(old, new)


def _other_attributes(old: griffe.Object | griffe.Alias, new: griffe.Object | griffe.Alias) -> list[str]:
    """Attributes that are in both and are something else now."""
    found = []
    for name, before in _attributes(old).items():
        after = _attributes(new).get(name, before)
        if before != after:
            found.append(f"farm.{name}: Attribute was changed: {before} → {after}")
    return found


def _attributes(package: griffe.Object | griffe.Alias) -> dict[str, str]:
    """`Class.attribute` → its type, or its value where it has none."""
    return {
        f"{owner.name}.{member.name}": str(member.value if member.annotation is None else member.annotation)
        for owner in package.classes.values()
        for member in owner.attributes.values()
    }


def _loaded(text: str) -> griffe.Object | griffe.Alias:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "api.py").write_text(text, encoding="utf-8")
        return griffe.load("api", search_paths=[directory], allow_inspection=False)


def _line(breakage: griffe.Breakage) -> str:
    detail = f": {breakage.old_value} → {breakage.new_value}" if breakage.old_value or breakage.new_value else ""
    return f"farm.{breakage.obj.path.removeprefix('api.')}: {breakage.kind.value}{detail}"


def _definition(found: griffe.Object | griffe.Alias) -> str:
    target = found.final_target if isinstance(found, griffe.Alias) else found
    if isinstance(target, griffe.Function):
        return _function(target, "") + "\n"
    assert isinstance(target, griffe.Class), f"{target.path} is neither a function nor a class"
    members = [text for member in target.members.values() if (text := _member(member))]
    bases = ", ".join(str(base) for base in target.bases)
    return f"class {target.name}{f'({bases})' if bases else ''}:\n" + ("\n".join(members) or "    ...") + "\n"


def _member(member: griffe.Object | griffe.Alias) -> str:
    if member.name.startswith("_") and member.name != "__init__":
        return ""
    if isinstance(member, griffe.Function):
        return _function(member, "    ")
    if not isinstance(member, griffe.Attribute):
        return ""
    if "property" in member.labels:
        return f"    {member.name}: {member.annotation}"
    if "class-attribute" not in member.labels and member.annotation is None:
        return f"    {member.name}: object"  # set in `__init__`
    if member.annotation is None:
        return f"    {member.name} = {member.value}"
    return f"    {member.name}: {member.annotation}" + (" = ..." if member.value is not None else "")


def _function(function: griffe.Function, indent: str) -> str:
    parts: list[str] = []
    for parameter in function.parameters:
        if parameter.kind is griffe.ParameterKind.keyword_only and "*" not in parts:
            parts.append("*")
        annotation = f": {parameter.annotation}" if parameter.annotation is not None else ""
        default = f" = {parameter.default}" if parameter.default is not None else ""
        parts.append(f"{parameter.name}{annotation}{default}")
    word = "async def" if "async" in function.labels else "def"
    returns = f" -> {function.returns}" if function.returns is not None else ""
    return f"{indent}{word} {function.name}({', '.join(parts)}){returns}: ..."


if __name__ == "__main__":
    sys.stdout.write(stub())

"""Each command that prints data prints it as JSON as well."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from farm.cli.app import main

# They print no data: scripts, files that they wrote, or that something is done.
WITHOUT = {"completion", "init", "serve", "cluster down", "store upgrade", "token revoke"}
JSON_ALWAYS = {"suite schema"}


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, *path, name)
        if not isinstance(found, click.Group) or found.invoke_without_command:
            yield " ".join((*path, name)), found


ALL = dict(commands(main))


def test_the_commands_without_json_exist() -> None:
    assert ALL.keys() > WITHOUT | JSON_ALWAYS


@pytest.mark.parametrize("name", sorted(ALL.keys() - WITHOUT - JSON_ALWAYS))
def test_a_command_that_prints_data_takes_json(name: str) -> None:
    flags = [each for each in ALL[name].params if isinstance(each, click.Option) and "--json" in each.opts]

    assert [(flag.name, flag.is_flag) for flag in flags] == [("as_json", True)]
    assert "json" in (flags[0].help or "").casefold()

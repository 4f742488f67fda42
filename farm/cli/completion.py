"""`farm completion`: what makes a shell complete the farm's commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
_PROGRAM = "farm"


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands and options with the Tab key.

    \b
    Switch it on permanently:
      bash   farm completion bash > ~/.local/share/bash-completion/completions/farm
      zsh    farm completion zsh > "${fpath[1]}/_farm"
      fish   farm completion fish > ~/.config/fish/completions/farm.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes no {shell}"
    script = kind(context.find_root().command, {}, _PROGRAM, f"_{_PROGRAM.upper()}_COMPLETE")
    # click's own `source()` starts bash to learn its version; the script is the same for every one that can load it.
    click.echo(script.source_template % script.source_vars())

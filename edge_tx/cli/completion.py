"""``edge-tx completion``: completes edge-tx in a shell."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_KINDS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "zsh": ZshComplete,
    "fish": FishComplete,
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_KINDS)))
def command(shell: str) -> None:
    """Print the script that completes edge-tx in a shell.

    \b
    bash   eval "$(edge-tx completion bash)"    in ~/.bashrc
    zsh    eval "$(edge-tx completion zsh)"     in ~/.zshrc
    fish   edge-tx completion fish > ~/.config/fish/completions/edge-tx.fish
    """  # noqa: D301 - click's mark for lines that stay as they are
    from edge_tx.cli.app import cli

    click.echo(_KINDS[shell](cli, {}, "edge-tx", "_EDGE_TX_COMPLETE").source())

"""`orderbus completion`: the script by which a shell completes commands and options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer
import typer.completion

from deploy.cli.main import COMPLETES, NAME

Shell = Annotated[Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish.")]


def completion(shell: Shell) -> None:
    """Print what completes commands in bash, zsh or fish.

    bash: eval "$(orderbus completion bash)" in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after compinit.
    fish: orderbus completion fish > ~/.config/fish/completions/orderbus.fish
    """
    typer_shells: Any = typer.completion
    print(typer_shells.get_completion_script(prog_name=NAME, complete_var=COMPLETES, shell=shell))

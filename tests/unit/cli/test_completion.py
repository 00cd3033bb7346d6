"""Shells complete commands, those of groups, and the options of a command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ORDERBUS = Path(sys.executable).with_name("orderbus")


def completed(*words: str) -> list[str]:
    """What bash is offered after these words."""
    asked = {"COMP_WORDS": " ".join(["orderbus", *words]), "COMP_CWORD": str(len(words))}
    environment = os.environ | asked | {"_ORDERBUS_COMPLETE": "complete_bash"}
    done = subprocess.run([ORDERBUS], env=environment, check=True, capture_output=True, text=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sto"], ["stores", "stock"]),
        (["stock", ""], ["list", "receive", "set", "adjust", "history"]),
        (["stock", "h"], ["history"]),
        (["refund", "--it"], ["--item"]),
        (["stores", "set", "--re"], ["--reset", "--reason"]),
    ],
)
def test_words_are_completed(words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


@pytest.mark.parametrize(("shell", "said"), [("bash", "complete "), ("zsh", "compdef "), ("fish", "complete ")])
def test_each_shell_has_its_script(shell: str, said: str) -> None:
    script = subprocess.run([ORDERBUS, "completion", shell], check=True, capture_output=True, text=True).stdout
    assert said in script and "_ORDERBUS_COMPLETE=complete_" + shell in script


def test_bash_completes_by_its_script() -> None:
    program = (
        'eval "$(orderbus completion bash)"; COMP_WORDS=(orderbus stock h); COMP_CWORD=2;'
        ' _orderbus_completion orderbus; echo "${COMPREPLY[@]}"'
    )
    path = f"{ORDERBUS.parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path}
    done = subprocess.run(["bash", "-c", program], check=True, env=environment, capture_output=True, text=True)
    assert done.stdout == "history\n", done.stderr

"""`orderbus env`: what a shell, and the programs that it starts, need to reach an orderbus."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from deploy.cli import console
from deploy.cli.options import AsJson, Data
from deploy.cli.target import environment_of, settings_of
from deploy.client.http import api_url
from services.registry import SERVICES

All = Annotated[bool, typer.Option("--all", help="Every ORDERBUS_* setting of the embedded stack, too.")]


def env(everything: All = False, data: Data = None, as_json: AsJson = False) -> None:
    """Print what a shell needs: eval "$(orderbus env)".

    KAFKA has the brokers, CHECKOUT_URL and the like the services' addresses, ORDERBUS_API_TOKEN the token of their API:
    what the examples and the documents use. With --all the settings of the embedded stack follow, with all its
    secrets; `orderbus` uses them from then on, even if another stack is started.
    """
    stack = environment_of(data)
    settings = settings_of(data)
    found = {
        "KAFKA": settings.kafka.bootstrap_servers,
        **{f"{service.upper()}_URL": api_url(settings, service) for service in SERVICES},
        **({"ORDERBUS_API_TOKEN": settings.api_token.get_secret_value()} if settings.api_token else {}),
        **(stack if everything else {}),
    }
    if as_json:
        console.show_json(found)
        return
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")

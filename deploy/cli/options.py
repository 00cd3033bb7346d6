"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data folder of the embedded stack.", envvar="ORDERBUS_DATA"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else.")]
Actor = Annotated[str, typer.Option("--actor", help="Who asks, for the order's timeline.")]
Number = Annotated[str, typer.Argument(metavar="ORDER", help="The order's number (ORD-…) or id.")]
Workers = Annotated[int, typer.Option("--workers", min=1, max=16, help="Processes of each service.")]
Service = Annotated[str, typer.Option("--service", help="One service; all of them where missing.")]

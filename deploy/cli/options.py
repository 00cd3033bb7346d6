"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Data folder of the embedded stack. Default: ~/.local/share/orderbus/stack.",
        envvar="ORDERBUS_DATA",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Number = Annotated[str, typer.Argument(metavar="ORDER", help="The order's number (ORD-…) or id.")]
IdempotencyKey = Annotated[
    str,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Names this command: repeated under the same key, it takes effect once. Default: a new one.",
    ),
]
Workers = Annotated[int, typer.Option("--workers", metavar="N", min=1, max=16, help="Processes per service.")]
Service = Annotated[str, typer.Option("--service", metavar="SERVICE", help="Only this service. Default: all services.")]

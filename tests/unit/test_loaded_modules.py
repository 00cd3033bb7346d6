"""What a worker has loaded once it is started: nothing that it has no use for, since each of its processes pays for it.

Measured for a worker of checkout: rich 3.5 MB, the examples of messages 3 MB, sqlite3 1.5 MB; for one of payments,
requests and httpx besides: 10 MB.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from services.registry import PROCESSES, READERS

NEEDLESS = (
    "click",
    "faust",
    "httpx",
    "obstore",
    "opentelemetry",
    "pygments",
    "requests",
    "rich",
    "shared.contracts.examples",
    "shared.simulation",
    "sqlite3",
    "standardwebhooks",
    "typer",
)
MORE_IN = {
    "payments": "stripe jinja2",
    "fulfillment": "cryptography",
    "notifications": "aiosmtplib jinja2",
    "staff": "cryptography argon2 fido2",
}
"""What others do not need."""


@cache
def loaded_by(name: str) -> frozenset[str]:
    """The modules of a worker that is about to run, and what they are in."""
    program = (
        "import sys, deploy.worker\n"
        "from deploy.settings import all_settings\n"
        "from services.registry import READERS, factory_of, reader_of\n"
        f"all_settings(), (reader_of if {name!r} in READERS else factory_of)({name!r})\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    names = done.stdout.split()
    return frozenset({*names, *(name.rpartition(".")[0] for name in names)})


@pytest.mark.parametrize("name", PROCESSES)
def test_a_worker_loads_nothing_that_it_has_no_use_for(name: str) -> None:
    of_others = {module for other, modules in MORE_IN.items() if other != name for module in modules.split()}
    needless = {*NEEDLESS, *of_others} - set(MORE_IN.get(name, "").split())
    needless -= {"faust"} if name in READERS else set()
    assert loaded_by(name) & needless == set()


def test_the_names_are_those_of_modules_that_others_load() -> None:
    assert {"aiohttp", "structlog", "shared.contracts.checkout", "stripe"} <= loaded_by("payments")

"""What is said of a database that cannot be reached now: the setting, the address and what to do."""

from __future__ import annotations

import socket

import pytest

from shared.shell.ports.store import StoreUnavailable
from shared.shell.postgres.refusals import reached, unreachable

NAME = "ORDERBUS_CHECKOUT__DATABASE_URL"
URL = "postgresql://shop:hidden-word@db.example:5433/checkout"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ConnectionRefusedError(),
            "nothing accepts connections at db.example:5433. Correct host and port, or start PostgreSQL.",
        ),
        (socket.gaierror(-2, "unknown"), "the host of db.example:5433 is not known. Correct it, or the name server."),
        (TimeoutError(), "db.example:5433 does not answer in time. Correct host and port, or check the firewall."),
        (OSError(113, "No route to host"), "db.example:5433 cannot be reached (OSError)."),
    ],
)
def test_each_way_names_setting_and_address(error: OSError, said: str) -> None:
    assert unreachable("checkout", URL, error) == f"{NAME}: {said}"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


async def test_a_wrong_port_may_pass_by_itself_but_says_what_to_correct() -> None:
    port = free_port()
    with pytest.raises(StoreUnavailable) as trouble:
        await reached("checkout", f"postgresql://shop:hidden-word@127.0.0.1:{port}/checkout")
    assert str(trouble.value) == (
        f"{NAME}: nothing accepts connections at 127.0.0.1:{port}. Correct host and port, or start PostgreSQL."
    )

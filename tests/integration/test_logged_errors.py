"""Parameters of statements, rows and invalid input reach no log, whichever way an error takes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import pytest
import pytest_asyncio
import sqlalchemy as sa
import structlog
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.settings import TelemetrySettings
from shared.shell.inbound.errors import describe
from shared.shell.observability.telemetry import configure_logging
from shared.shell.postgres.connections import Connections
from shared.shell.postgres.engine import create_engine
from shared.shell.postgres.statements import Sql
from tests.integration.conftest import NewDatabase

ADDRESS = "ada@mail.example"


class Order(BaseModel):
    number: int


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(await new_database(), "test")
    async with engine.begin() as connection:
        for statement in (
            "create table t (email text primary key, number integer check (number > 0))",
            f"insert into t values ('{ADDRESS}', 1)",
        ):
            await connection.execute(sa.text(statement))
    yield engine
    await engine.dispose()


async def by_sqlalchemy(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text(statement), values)


async def by_driver(engine: AsyncEngine, statement: str, **values: object) -> None:
    async with Connections(engine).driver() as driver:
        await driver.execute(Sql(statement).text, *values.values())


INSERT = "insert into t values (:email, :number)"
WAYS: dict[str, Callable[[AsyncEngine], Awaitable[object]]] = {
    "a row that is there": lambda engine: by_sqlalchemy(engine, INSERT, email=ADDRESS, number=1),
    "a row that is refused": lambda engine: by_sqlalchemy(engine, INSERT, email=f"b{ADDRESS}", number=0),
    "a value of another type": lambda engine: by_sqlalchemy(engine, INSERT, email="c", number=ADDRESS),
    "a value that cannot be cast": lambda engine: by_sqlalchemy(engine, f"select cast('{ADDRESS}' as integer)"),
    "a statement that is wrong": lambda engine: by_sqlalchemy(engine, "select :email from nothing", email=ADDRESS),
    "the driver, a row that is there": lambda engine: by_driver(engine, INSERT, email=ADDRESS, number=1),
    "the driver, another type": lambda engine: by_driver(engine, INSERT, email="c", number=ADDRESS),
    "the driver, not its kind": lambda engine: by_driver(engine, "select cast(:id as uuid)", id=ADDRESS),
}


@pytest.fixture
def reset_logs() -> Any:
    hook = sys.excepthook
    yield
    structlog.reset_defaults()
    sys.excepthook = hook


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_of_a_statement_only_the_state_is_logged(
    engine: AsyncEngine,
    way: Callable[[AsyncEngine], Awaitable[object]],
    log_format: Literal["json", "console"],
    capsys: pytest.CaptureFixture[str],
    reset_logs: None,
) -> None:
    configure_logging(TelemetrySettings(log_format=log_format), "checkout", "checkout-0")
    try:
        await way(engine)
    except Exception as error:
        caught = error
        structlog.get_logger().exception("it failed", error=type(error).__name__)
    said = capsys.readouterr().err
    assert ADDRESS not in said
    assert ADDRESS not in describe(caught)
    assert type(caught).__name__ in said and "test_logged_errors.py" in said, "what and where"


def test_causes_are_shown_as_far_as_they_hold_no_data(capsys: pytest.CaptureFixture[str], reset_logs: None) -> None:
    configure_logging(TelemetrySettings(), "checkout", "checkout-0")
    try:
        try:
            try:
                raise ValueError(f"invalid {ADDRESS}")
            except ValueError as cause:
                raise sa.exc.StatementError("wrong", "select 1", {"email": ADDRESS}, cause) from cause
        except sa.exc.StatementError as cause:
            raise RuntimeError("the batch of 3 failed") from cause
    except RuntimeError as error:
        structlog.get_logger().error("it failed", exc_info=ExceptionGroup("two", [error, KeyError("a key")]))
    said = capsys.readouterr().err
    assert ADDRESS not in said
    for shown in ("the batch of 3 failed", "RuntimeError", "StatementError", "ValueError", "a key"):
        assert shown in said


def test_invalid_input_is_not_logged(capsys: pytest.CaptureFixture[str], reset_logs: None) -> None:
    configure_logging(TelemetrySettings(), "checkout", "checkout-0")
    try:
        Order.model_validate({"number": ADDRESS})
    except ValueError:
        structlog.get_logger().exception("it failed")
    said = capsys.readouterr().err
    assert ADDRESS not in said and "ValidationError" in said


async def test_nor_by_an_error_that_ends_the_process() -> None:
    code = (
        "import asyncio, sqlalchemy as sa; from shared.settings import TelemetrySettings\n"
        "from shared.shell.observability.telemetry import configure_logging\n"
        "configure_logging(TelemetrySettings(), 'checkout', 'checkout-0')\n"
        f"raise sa.exc.StatementError('wrong', 'select 1', {{'email': '{ADDRESS}'}}, ValueError('{ADDRESS}'))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stderr=subprocess.PIPE)
    _, said = await process.communicate()
    entry = json.loads(said)
    assert (entry["event"], entry["error"], process.returncode) == ("ended by an error", "StatementError", 1)
    assert ADDRESS not in said.decode()

"""Whatever way a run ends, nothing is left running; and while it runs, nothing is written outside its folder."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.client.http import ApiClient
from deploy.demo import catalogue as shipped
from deploy.demo.catalogue import open_shop
from deploy.devstack.kafka_jars import cache_folder
from deploy.sandboxes.client import OutsideWorld
from tests.e2e.conversation import eventually
from tests.e2e.test_up import orderbus_up, place_orders, settings_at

PROJECT = Path(__file__).resolve().parents[2]
ENDS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT] if os.environ.get("ORDERBUS_LONG") else [signal.SIGKILL]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's home and folder for temporary files, both empty; only Kafka's jars are where they were."""
    cache = cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parents[1]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    home = tmp_path / "home"
    for name, folder in (("HOME", home), ("TMPDIR", home / "tmp")):
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    assert cache_folder() == cache
    yield home


@pytest.mark.slow
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.name)
async def test_nothing_is_left_and_nothing_written_outside(tmp_path: Path, home: Path, end: signal.Signals) -> None:
    folder, project = tmp_path / "data", files_of(PROJECT)
    async with orderbus_up(folder) as process:
        settings, environment = settings_at(folder)
        url, token = environment["ORDERBUS_DEMO__OUTSIDE_URL"], environment["ORDERBUS_DEMO__OUTSIDE_TOKEN"]
        catalogue = shipped.load(url, codes=10)
        async with ApiClient.of(settings) as edges, OutsideWorld(url, token) as outside:
            await open_shop(edges, outside, catalogue)
            await place_orders(settings, catalogue, 3)

            async def completed() -> int:
                return len((await edges.orders(status="completed"))["orders"])

            await eventually(completed, lambda count: count == 3, "all orders completed")
        processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        written = {path for one in processes for path in open_for_writing(one)}
        written |= {path for one in processes for path in Path("/tmp").glob(f"hsperfdata_*/{one.pid}")}  # noqa: ASYNC240, S108
        process.send_signal(end)
        await asyncio.wait_for(process.wait(), 30)
        await eventually(still_there(processes), lambda left: not left, "all processes gone", within=15)

    assert len(processes) > 8, "all of them were seen"
    assert {path for path in written if not path.is_relative_to(folder)} == set()
    assert files_of(home) == set()
    assert files_of(PROJECT) - project == set()


def still_there(processes: list[psutil.Process]) -> Callable[[], Awaitable[list[str]]]:
    async def look() -> list[str]:
        return [one.name() for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]

    return look


def open_for_writing(process: psutil.Process) -> set[Path]:
    """Regular files; PostgreSQL opens its own for reading and writing alike."""
    return {Path(file.path) for file in process.open_files() if getattr(file, "mode", "r") != "r"}


def files_of(folder: Path) -> set[Path]:
    """Of the project, without what tools keep there and what other tests may be writing."""
    kept = {".git", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "build"}
    found: set[Path] = set()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in kept and not name.endswith(".egg-info")]
        found |= {Path(place) / name for name in names}
    return found

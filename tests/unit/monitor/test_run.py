from __future__ import annotations

import pytest

from deploy import worker
from deploy.cli.errors import UsageError
from deploy.cli.services import known, known_process


def test_it_has_nothing_to_catch_up_with(capsys: pytest.CaptureFixture[str]) -> None:
    assert worker.main(["monitor", "--catch-up"]) == 2
    assert capsys.readouterr().err == "monitor reads again whenever it starts: leave out --catch-up.\n"


def test_it_can_be_run_but_is_no_service() -> None:
    assert known_process("monitor") == "monitor"
    with pytest.raises(UsageError, match=r"^There is no service monitr\. Those that .* are checkout, .*monitor\.$"):
        known_process("monitr")
    with pytest.raises(UsageError, match=r"^There is no service monitor\. The services are "):
        known("monitor")

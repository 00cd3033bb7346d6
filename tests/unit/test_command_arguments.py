"""What is typed on the command line, and what it means."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from deploy.check.remedies import REMEDIES
from deploy.check.run import CheckFailed, Report
from deploy.cli.attention import age
from deploy.cli.check import exit_code, show_report
from deploy.cli.codes import read_codes
from deploy.cli.errors import UsageError
from deploy.cli.lost import moment
from deploy.cli.order_changes import minor_units
from deploy.cli.publish import checked, read
from deploy.cli.services import chosen
from deploy.cli.target import OWN_SETTINGS, environment_of, use
from deploy.cli.up import up
from deploy.client.local_stack import announced
from shared.invariants.rules import INVARIANTS
from shared.shell.ports.attention import Attention

NOON = datetime.fromisoformat("2026-03-03T12:00:00Z")


@pytest.mark.parametrize(
    ("amount", "currency", "minor"), [("12.50", "EUR", 1250), ("12.5", "EUR", 1250), ("12", "JPY", 12)]
)
def test_an_amount_is_typed_as_people_write_it(amount: str, currency: str, minor: int) -> None:
    assert minor_units(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("12,50", "EUR"),
        ("12.505", "EUR"),
        ("0.5", "JPY"),
        ("0", "EUR"),
        ("-1", "EUR"),
        ("nan", "EUR"),
        ("1e3", "EUR"),
        ("1_000", "EUR"),
        ("+5", "EUR"),
        ("١٢", "EUR"),
        ("99999999999999999999", "EUR"),
    ],
)
def test_what_is_no_amount_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(UsageError, match="is not an amount"):
        minor_units(amount, currency)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-03T14:05Z", NOON + timedelta(hours=2, minutes=5)),
        ("90m", NOON - timedelta(minutes=90)),
        ("24h", NOON - timedelta(days=1)),
        ("3d", NOON - timedelta(days=3)),
    ],
)
def test_a_time_is_a_moment_or_as_long_ago(text: str, at: datetime) -> None:
    assert moment(text, NOON) == at


@pytest.mark.parametrize("text", ["yesterday", "3w", "h", "24", "²d", "99999999999d"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="write it like 2026-03-03"):
        moment(text)


def test_no_service_named_means_all_and_an_unknown_one_is_refused_with_the_list() -> None:
    assert set(chosen("")) > set(chosen("payments")) == {"payments"}
    with pytest.raises(UsageError, match=r"no service kitchen.*checkout, payments"):
        chosen("kitchen")


def test_an_empty_file_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UsageError, match="contains no messages"):
        checked(read(str(tmp_path / "empty.jsonl")))
    with pytest.raises(UsageError, match="cannot be read"):
        read(str(tmp_path / "gone.jsonl"))


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=90), "1 h"),
        (timedelta(hours=49), "2 d"),
    ],
)
def test_an_age_is_shown_in_its_largest_unit(passed: timedelta, shown: str) -> None:
    assert age(NOON - passed, NOON) == shown


def test_a_file_of_codes_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "codes.txt").write_text("A-1\n\n A-2 \nA-1\n")
    assert read_codes(str(tmp_path / "codes.txt")) == ["A-1", "A-2"]
    (tmp_path / "empty.txt").touch()
    with pytest.raises(UsageError, match="contains no codes"):
        read_codes(str(tmp_path / "empty.txt"))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_codes(str(tmp_path / "gone.txt"))


WAITS = ("payments", Attention("paused", "stripe", NOON, "the key is refused", "orderbus resume payments stripe"))


@pytest.mark.parametrize(
    ("violations", "attention", "code"), [([], [], 0), (["wrong"], [], 1), ([], [WAITS], 2), (["wrong"], [WAITS], 1)]
)
def test_the_exit_code_of_the_check(
    violations: list[str], attention: list[tuple[str, Attention]], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report({"rows_agree": violations}, attention)
    assert exit_code(report) == code
    show_report(report)
    shown = capsys.readouterr().out
    assert ("orderbus resume payments stripe" in shown) is bool(attention)
    assert (REMEDIES["rows_agree"] in shown) is bool(violations)


def test_every_invariant_has_a_remedy() -> None:
    assert REMEDIES.keys() == INVARIANTS.keys()


def test_what_is_wrong_with_an_order_is_shown_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"rows_agree": ["order ORD-R2D2YZAUJN: a", "SKU x: b"], "everybody_told": ["order ORD-R2D2YZAUJN: c"]}
    show_report(Report(wrong))
    assert "ORD-R2D2YZAUJN: rows_agree, everybody_told\n" in capsys.readouterr().out


def test_a_check_that_cannot_be_made_has_a_code_of_its_own() -> None:
    assert CheckFailed("x").exit_code == 3


def test_two_brokers_are_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--brokers is 1 or 3"):
        up(data=tmp_path, brokers=2)
    assert not list(tmp_path.iterdir())


class TestTarget:
    """Which orderbus a command works on."""

    @pytest.fixture(autouse=True)
    def clean(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in OWN_SETTINGS:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))

    def test_without_settings_it_is_the_embedded_stack_in_the_default_folder(self, tmp_path: Path) -> None:
        folder = tmp_path / "orderbus" / "stack"
        folder.mkdir(parents=True)
        with announced(folder, {"ORDERBUS_API_TOKEN": "0123456789abcdef"}):
            assert environment_of(None) == {"ORDERBUS_API_TOKEN": "0123456789abcdef"}
        with pytest.raises(UsageError, match="Start it with `orderbus up`"):
            environment_of(None)

    def test_with_settings_it_is_what_they_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(OWN_SETTINGS[0], "kafka.example:9092")
        assert environment_of(None) == {}

    def test_a_folder_that_is_named_comes_before_settings(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(OWN_SETTINGS[0], "kafka.example:9092")
        with pytest.raises(UsageError, match=f"`orderbus up --data {tmp_path}`"):
            environment_of(tmp_path)

    def test_a_secret_in_a_file_of_another_system_is_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORDERBUS_API_TOKEN_FILE", "/run/secrets/token")
        monkeypatch.setenv("ORDERBUS_API_TOKEN", "of-another-system")
        monkeypatch.setenv("ORDERBUS_SMTP__PASSWORD_FILE", "/run/secrets/smtp")
        use({"ORDERBUS_API_TOKEN": "0123456789abcdef"})
        assert os.environ["ORDERBUS_API_TOKEN"] == "0123456789abcdef"
        assert "ORDERBUS_API_TOKEN_FILE" not in os.environ
        assert os.environ["ORDERBUS_SMTP__PASSWORD_FILE"] == "/run/secrets/smtp", "the stack says nothing of it"
        assert "PATH" in os.environ


def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    file, deep = tmp_path / "deep.json", "[" * 100_000
    file.write_text(deep)
    with pytest.raises(UsageError, match="nested too deeply"):
        read(str(file))
    file.write_text(f"{{}}\n{deep}\n")
    with pytest.raises(UsageError, match="line 2: is not JSON: it is nested too deeply"):
        checked(read(str(file)))

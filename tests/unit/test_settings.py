"""Misspelt settings are named at the start, with the nearest right name, and with everything else that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import worker
from deploy.cli.errors import Failure
from deploy.cli.probes import smtp
from deploy.settings import (
    load_all_settings,
    load_process_settings,
    load_system_settings,
    not_read,
)
from services.registry import PROCESSES
from shared.settings import PREFIX, WrongSettings
from tests.unit.settings_given import HIDDEN, Given, problems, remedies

WHERE = "where it is set: in the environment, or in the file that ORDERBUS_CONFIG names."


class TestRemedies:
    """Each kind of error ends with what is to be done about it."""

    def test_of_a_missing_setting(self, given: Given) -> None:
        given(STRIPE__API_KEY="")
        assert remedies() == [
            "Set what is missing, in the environment or in the file that ORDERBUS_CONFIG names. `orderbus up` sets "
            "everything for the embedded stack."
        ]

    def test_of_a_misspelt_one(self, given: Given) -> None:
        given(SMPT__TLS="tls")
        assert remedies() == [f"Correct a misspelt name {WHERE}"]

    def test_of_an_unknown_one(self, given: Given) -> None:
        given(KAFKA__COLOUR="red")
        assert remedies() == [f"Remove an unknown setting, or correct its name, {WHERE}"]

    def test_of_a_wrong_value(self, given: Given) -> None:
        given(KAFKA__PARTITIONS="many")
        assert remedies() == [f"Correct a wrong value {WHERE}"]

    def test_of_several(self, given: Given) -> None:
        given(STRIPE__API_KEY="", SMPT__TLS="tls", KAFKA__PARTITIONS="many", KAFKA__COLOUR="red")
        assert [line.split()[0:2] for line in remedies()] == [
            *(["Set", "what"], ["Correct", "a"], ["Remove", "an"], ["Correct", "a"])
        ]


class TestMisspeltNames:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("SMPT__TLS", "SMTP__TLS"),
            ("SPRITE__API_KEY", "STRIPE__API_KEY"),
            ("PAYMENT__DATABASE_URL", "PAYMENTS__DATABASE_URL"),
            ("KAFKAS__RETENTION", "KAFKA__RETENTION"),
            ("CHEKCOUT__BATCH", "CHECKOUT__BATCH"),
            ("SMTP_TLS", "SMTP__TLS"),
            ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA__BOOTSTRAP_SERVERS"),
            ("KAFKA__BOOTSTRAP_SERVER", "KAFKA__BOOTSTRAP_SERVERS"),
            ("KAFKA__RETENSION", "KAFKA__RETENTION"),
            ("API_TOKN", "API_TOKEN"),
            ("API_TOKEN_FIEL", "API_TOKEN_FILE"),
            ("API__TOKEN", "API_TOKEN"),
            ("APITOKEN", "API_TOKEN"),
            ("CONIFG", "CONFIG"),
            ("CHECKOUT__DATABASE__URL", "CHECKOUT__DATABASE_URL"),
            ("STRIPE__APIKEY", "STRIPE__API_KEY"),
            ("STRIPE__API_KEY_FIL", "STRIPE__API_KEY_FILE"),
            ("WEBHOOK_TO_PRIVATE_ADDRESSES", "WEBHOOKS_TO_PRIVATE_ADDRESSES"),
        ],
    )
    @pytest.mark.parametrize("process", PROCESSES)
    def test_they_are_named_in_every_process(self, given: Given, process: str, name: str, meant: str) -> None:
        given(**{name: "x"})
        for load in (lambda: load_process_settings(process), load_system_settings):
            assert problems(load)[name].startswith(f"unknown setting: did you mean {PREFIX}{meant}?")

    def test_in_the_file_too(self, given: Given, tmp_path: Path) -> None:
        (tmp_path / "o.toml").write_text('[smpt]\ntls = "tls"\n[kafka]\nretension = "P1D"\n[checkout]\nbacth = 3\n')
        given(CONFIG=str(tmp_path / "o.toml"))
        assert problems(lambda: load_process_settings("payments")) == {
            "SMPT__TLS": f"unknown setting: did you mean {PREFIX}SMTP__TLS?",
            "KAFKA__RETENSION": f"unknown setting: did you mean {PREFIX}KAFKA__RETENTION?",
            "CHECKOUT__BACTH": f"unknown setting: did you mean {PREFIX}CHECKOUT__BATCH?",
        }

    def test_what_is_not_near_is_named_in_the_sections_that_a_process_reads(self, given: Given) -> None:
        given(KAFKA__COLOUR="red")
        assert problems(lambda: load_process_settings("checkout")) == {"KAFKA__COLOUR": "unknown setting"}

    @pytest.mark.parametrize(
        "name",
        [
            "PAYPAL__CLIENT_ID",  # of a newer build
            "STRIPE__ACCOUNT",
            "STRIPE__API_VERSION",
            "EXPORTER__LISTEN",  # of another program
            "CLI_COLOUR",
            "CHECKOUT_SERVICE_HOST",  # what Kubernetes sets for a service named `orderbus-checkout`
            "CHECKOUT_SERVICE_PORT",
            "CHECKOUT_SERVICE_PORT_HTTP",
            "NOTIFICATIONS_SERVICE_HOST",
            "NOTIFICATIONS_PORT",
            "CHECKOUT_PORT_8080_TCP",
            "CHECKOUT_PORT_8080_TCP_ADDR",
            *("KAFKA_HOME", "MAVEN_REPOSITORY", "LONG", "SEED", "OUTSIDE_TOKEN", "TEST_KAFKA", "TEST_POSTGRES"),
            *("DEMO__STRIPE_URL", "DEMO__WORKERS", "VERSION", "IMAGE"),
        ],
    )
    def test_what_resembles_none_is_left_alone(self, given: Given, name: str) -> None:
        given(**{name: "x"})
        load_process_settings("checkout")
        load_system_settings()

    async def test_a_command_that_reads_one_section_knows_the_names_of_all(self, given: Given) -> None:
        given(STRIPE__REQUESTS_PER_SECOND="30", SMTP__PORT="1")
        with pytest.raises(Failure, match=r"127\.0\.0\.1:1 cannot be used: it refuses the connection"):
            await smtp()

    def test_what_looks_like_a_setting_is_told(self, given: Given) -> None:
        given(PAYPAL__CLIENT_ID="x", DEMO__WORKERS="x", IMAGE="x", SMTP__TLS="tls", API_TOKEN_FILE="x")
        assert not_read() == [f"{PREFIX}PAYPAL__CLIENT_ID"]


class TestTheWholeOfIt:
    def test_all_kinds_of_problems_are_named_at_once(self, given: Given) -> None:
        given(
            SMPT__TLS="tls",
            API_CLIENTS="{",
            KAFKA__RETENSION="P1D",
            STRIPE__API_KEY=None,
            HTTP="8080",
            CHECKOUT__BATCH="many",
            PAYMENTS__DATABASE_URL=f"postgresql://u:{HIDDEN}@h/d?ssl=1",
            API_TOKEN_FILE="/none",
        )
        assert set(problems()) == {
            *("SMPT__TLS", "API_CLIENTS", "KAFKA__RETENSION", "STRIPE__API_KEY", "HTTP", "CHECKOUT__BATCH"),
            *("PAYMENTS__DATABASE_URL", "API_TOKEN"),
        }

    def test_what_a_part_of_a_list_lacks_is_named(self, given: Given) -> None:
        given(API_CLIENTS='[{"name": "backoffice", "stores": ["*"], "permissions": ["*"]}]')
        assert problems() == {"API_CLIENTS__0__TOKEN_SHA256": "is missing"}

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"[kafka\n", "o.toml is not TOML: "),
            (b"\xff", "o.toml is not TOML: it is no UTF-8 text"),
            (None, "o.toml cannot be read (No such file or directory)"),
        ],
    )
    def test_a_file_that_cannot_be_read(self, given: Given, tmp_path: Path, content: bytes | None, said: str) -> None:
        if content is not None:
            (tmp_path / "o.toml").write_bytes(content)
        given(CONFIG=str(tmp_path / "o.toml"))
        with pytest.raises(WrongSettings) as wrong:
            load_all_settings()
        assert str(wrong.value).startswith(f"{PREFIX}CONFIG: {tmp_path}/") and said in str(wrong.value)


def test_emails_never_link_to_downloads_at_no_port(given: Given, capsys: pytest.CaptureFixture[str]) -> None:
    """`--port` counts, and an address of its own."""
    given()
    assert worker.main(["fulfillment", "--port", "0"]) == 2
    assert f"{PREFIX}FULFILLMENT__PUBLIC_URL: is missing" in capsys.readouterr().err
    settings = load_process_settings("fulfillment")
    assert settings.problem()
    settings.edge("fulfillment").http_port = 8080
    assert not settings.problem()


S3 = {"BUCKET": "files", "ENDPOINT": "https://s3.example", "ACCESS_KEY": "the-key", "SECRET_KEY": "the-secret"}


@pytest.mark.parametrize(
    ("left_out", "folder", "named"),
    [
        ((), False, ()),
        (tuple(S3), True, ()),
        (("ENDPOINT", "SECRET_KEY"), False, ("S3_ENDPOINT", "S3_SECRET_KEY")),
        ((), True, ("FILES", "S3_BUCKET", "S3_ACCESS_KEY")),
        (("BUCKET",), True, ("S3_BUCKET", "FILES", "S3_ENDPOINT")),
    ],
)
def test_files_are_in_a_folder_or_in_s3_with_all_of_its_settings(
    given: Given, left_out: tuple[str, ...], folder: bool, named: tuple[str, ...]
) -> None:
    s3 = {f"FULFILLMENT__S3_{name}": value for name, value in S3.items() if name not in left_out}
    given(FULFILLMENT__PUBLIC_URL="https://shop.example", **s3, **({"FULFILLMENT__FILES": "/files"} if folder else {}))
    problem = load_process_settings("fulfillment").problem()
    assert bool(problem) is bool(named)
    assert [name for name in named if f"{PREFIX}FULFILLMENT__{name}" not in problem] == []
    assert "the-key" not in problem

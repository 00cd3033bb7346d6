"""What cannot work, or would send a secret in the clear, is refused at the start."""

from __future__ import annotations

from typing import ClassVar

import pytest

from deploy.settings import (
    load_all_settings,
)
from tests.unit.settings_given import HIDDEN, Given, problems


class TestValues:
    REFUSED: ClassVar[list[tuple[dict[str, str], str, str]]] = [
        ({"SMTP__USERNAME": "u", "SMTP__PASSWORD": HIDDEN}, "SMTP__TLS", "a password is not sent without TLS"),
        ({"SMTP__PASSWORD": HIDDEN, "SMTP__TLS": "tls"}, "SMTP__PASSWORD", "username and password belong together"),
        ({"SMTP__USERNAME": "u", "SMTP__TLS": "tls"}, "SMTP__PASSWORD", "username and password belong together"),
        ({"SMTP__PASSWORD": "  ", "SMTP__USERNAME": "u", "SMTP__TLS": "tls"}, "SMTP__PASSWORD", "is blank"),
        ({"API_TOKEN": " " * 16}, "API_TOKEN", "is blank"),
        ({"API_TOKEN": ""}, "API_TOKEN", "needs at least 16 characters"),
        ({"API_TOKEN": f"{HIDDEN} "}, "API_TOKEN", "must consist of visible ASCII characters"),
        ({"API_TOKEN": f"{HIDDEN}é"}, "API_TOKEN", "must consist of visible ASCII characters"),
        ({"API_TOKEN": f"{HIDDEN}\n"}, "API_TOKEN", "contains line breaks"),
        ({"STRIPE__API_KEY": " "}, "STRIPE__API_KEY", "is blank"),
        ({"STRIPE__WEBHOOK_SECRET": f"{HIDDEN} x"}, "STRIPE__WEBHOOK_SECRET", "must consist of visible"),
        ({"FULFILLMENT__LINK_SECRET": " " * 16}, "FULFILLMENT__LINK_SECRET", "is blank"),
        ({"NOTIFICATIONS__FEED_SECRET": "\t" * 16}, "NOTIFICATIONS__FEED_SECRET", "is blank"),
        *(
            ({name: url}, name, "must be of the form https://host:port/path")
            for name in ("STRIPE__API_BASE", "CHECKOUT__PUBLIC_URL", "MONITOR__PUBLIC_URL", "TELEMETRY__OTLP_ENDPOINT")
            for url in (
                *(
                    "",
                    "ftp://h",
                    "h:80",
                    "//h",
                    "https://",
                    "https:///x",
                    "http://h:port",
                    "http://h:0",
                    "http://h:70000",
                ),
                *(
                    f"https://u:{HIDDEN}@h",
                    f"https://{HIDDEN}@h",
                    "https://h/?a=b",
                    "https://h/#a",
                    "https://h a",
                    "http://[h",
                ),
            )
        ),
        *(
            (
                {"KAFKA__BOOTSTRAP_SERVERS": servers},
                "KAFKA__BOOTSTRAP_SERVERS",
                "must be of the form host:port,host:port",
            )
            for servers in ("kafka://h:9092", "h:port", "h:9092,", "h:0", "h:99999", "h 9092", f"u:{HIDDEN}@h:1", "::1")
        ),
        *(
            ({"KAFKA__RETENTION": value}, "KAFKA__RETENTION", "must be")
            for value in ("PT0S", "PT23H", "-P1D", "P5000D", "forever")
        ),
        ({"KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}, "KAFKA__SASL_PASSWORD", "set SASL_USERNAME and SASL_PASSWORD"),
        ({"KAFKA__SASL_USERNAME": "u"}, "KAFKA__SASL_PASSWORD", "is not used"),
        ({"KAFKA__SASL_USERNAME": "u", "KAFKA__SASL_PASSWORD": HIDDEN}, "KAFKA__SASL_PASSWORD", "is not used"),
        ({"KAFKA__CA_FILE": "/ca.pem"}, "KAFKA__CA_FILE", "is not used"),
        (
            {"KAFKA__SECURITY_PROTOCOL": "SSL", "KAFKA__KEY_FILE": "/k.pem"},
            "KAFKA__KEY_FILE",
            "set ORDERBUS_KAFKA__CERT",
        ),
        ({"FULFILLMENT__POOL_RECHECK": "PT0S"}, "FULFILLMENT__POOL_RECHECK", "must be greater"),
        ({"STRIPE__TIMEOUT": "inf"}, "STRIPE__TIMEOUT", "finite"),
    ]

    @pytest.mark.parametrize(("settings", "name", "said"), REFUSED, ids=[str(one[0]) for one in REFUSED])
    def test_it_is_refused(self, given: Given, settings: dict[str, str], name: str, said: str) -> None:
        given(**settings)
        found = problems()
        assert found.keys() == {name}
        assert said in found[name]

    @pytest.mark.parametrize(
        "settings",
        [
            {"SMTP__USERNAME": "u", "SMTP__PASSWORD": "with blanks in it", "SMTP__TLS": "starttls"},
            {"STRIPE__API_BASE": "http://127.0.0.1:12111", "CHECKOUT__PUBLIC_URL": "https://shop.example/orders/"},
            {"TELEMETRY__OTLP_ENDPOINT": "http://[::1]:4318"},
            {"KAFKA__BOOTSTRAP_SERVERS": "a:9092, b:9093,[::1]:9094,c"},
            {"KAFKA__RETENTION": "P1D"},
            {"KAFKA__SECURITY_PROTOCOL": "SSL", "KAFKA__CERTIFICATE_FILE": "/c.pem", "KAFKA__CA_FILE": "/ca.pem"},
            {"KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA__SASL_USERNAME": "u", "KAFKA__SASL_PASSWORD": HIDDEN},
        ],
        ids=str,
    )
    def test_it_is_taken(self, given: Given, settings: dict[str, str]) -> None:
        given(**settings)
        load_all_settings()

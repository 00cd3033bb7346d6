"""Which addresses are called, in every way of writing them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from services.notifications.settings import SmtpSettings
from shared.contracts.addresses import callable_url, reach_of, reach_of_host, reach_of_url, without_password
from shared.contracts.fulfillment import CourseAccess
from shared.contracts.notifications import RegisterWebhook
from shared.contracts.values import CallableUrl
from shared.shell.http.outbound import Blocked, Outbound

PUBLIC = (
    "93.184.216.34 1.1.1.1 2606:4700::1111 2a00:1450:4001::1 ::ffff:1.1.1.1 64:ff9b::1.1.1.1 2002:101:101::".split()
)
PRIVATE = (
    "127.0.0.1 127.255.255.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 198.18.0.1 ::1 fd00::1 "
    "::ffff:10.0.0.1 ::ffff:7f00:1 64:ff9b::7f00:1 64:ff9b::a00:1 2002:7f00:1:: 2002:a00:1::1 2606:4700::5efe:7f00:1 "
    "2606:4700::200:5efe:c0a8:1"
).split()
NEVER = (
    "0.0.0.0 0.1.2.3 169.254.169.254 192.0.0.9 192.0.2.1 192.88.99.1 203.0.113.7 224.0.0.1 240.0.0.1 255.255.255.255 "
    ":: ::7f00:1 ::127.0.0.1 ::1.1.1.1 ::ffff:0:7f00:1 ::ffff:0:1.1.1.1 fec0::1 feff::1 fe80::1 fe80::1%eth0 febf::1 "
    "ff02::1 100::1 2001::1 2001:0:7f00:1:: 2001:2::1 2001:20::1 2001:db8::1 3fff::1 5f00::1 4000::1 64:ff9b:1::7f00:1 "
    "64:ff9b:1::1.1.1.1 ::ffff:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: fe80::5efe:101:101"
).split()
NOT_HOSTS = (
    "2130706433 127.1 127.0.1 0x7f.1 0x7f000001 0X7F.0.0.1 0177.0.0.1 017700000001 127.0.0.0x1 0 127.0.0.01 1.2.3.4.5 "
    "256.1.1.1 a..b a. .b -a a- a.-b 1 0x [::1 v1.a: host!"
).split()


@pytest.mark.parametrize(("reach", "addresses"), [("public", PUBLIC), ("private", PRIVATE), ("never", NEVER)])
def test_addresses(reach: str, addresses: list[str]) -> None:
    assert {address: reach_of(address) for address in addresses} == dict.fromkeys(addresses, reach)
    assert {address: reach_of_host(address) for address in addresses} == dict.fromkeys(addresses, reach)


@pytest.mark.parametrize("host", [host for host in NOT_HOSTS if host != "a."] + ["a" * 64, "a." * 127 + "aa", "..", ""])
def test_what_cannot_be_a_host(host: str) -> None:
    with pytest.raises(ValueError):
        reach_of_host(host)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("northwind.example", "public"),
        ("northwind.example.", "public"),
        ("xn--bcher-kva.example", "public"),
        ("bücher.example", "public"),
        ("a_b.example", "public"),
        ("1.example", "public"),
        ("localhost", "private"),
        ("a.localhost.", "private"),
        ("127.0.0.1.", "private"),
    ],
)
def test_names(host: str, reach: str) -> None:
    assert reach_of_host(host) == reach


NEVER_CALLABLE = [
    "http:///x",
    "http://[::1",
    "http://hooks.example:99999/",
    "http://hooks.example:0/",
    "http://hooks.example:x/",
    "http://:80/",
    "http://@/",
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://224.0.0.1/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://127.1/",
    "http://hooks.example\\@127.0.0.1/",
    "http://hooks.example/\u200b",
    "http://hooks.example/\x00",
    "http://ho\x7fks.example/",
    "http://[::ffff:169.254.169.254]/",
    "http://127.0.0.１/",
    "http://169.254.169.２54/",
    "http://127。0。0。1/",
    "http://ｌocalhost/",
    "http://⒈example/",
    f"http://{'ü' * 63}.example/",
    "http://[v1.x]/",
]


@pytest.mark.parametrize("url", NEVER_CALLABLE)
async def test_a_url_that_can_never_be_called_is_refused_at_registration_and_by_the_client(url: str) -> None:
    with pytest.raises(ValueError):
        callable_url(url)
    secret = "whsec_" + "A" * 44
    with pytest.raises(ValidationError):
        RegisterWebhook(endpoint="we", url=url, events=("order.received",), secret=secret)
    with pytest.raises(ValidationError):
        CourseAccess(url=url)
    for private in (True, False):
        with pytest.raises(Blocked):
            await Outbound(private=private).post(url, b"", {}, timeout=1)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/in?a=b#c",
        "http://u:p@hooks.example:8443",
        "http://[::1]:80/x",
        "http://bücher.example/",
        "https://भारत.भारत/",
    ],
)
def test_a_url_that_can_be_called(url: str) -> None:
    assert TypeAdapter(CallableUrl).validate_python(url) == url


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://[::1]/", "http://localhost/", "http://[fd00::1]/"])
async def test_a_private_address_is_registered_where_the_settings_allow_it(url: str) -> None:
    assert reach_of_url(url) == "private"
    with pytest.raises(Blocked, match="private"):
        await Outbound(private=False).post(url, b"", {}, timeout=1)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_password_for_the_mail_server_needs_tls(tls: str) -> None:
    login = {"username": "u", "password": "p"}
    with pytest.raises(ValidationError, match="is not sent without TLS"):
        SmtpSettings.model_validate(login)
    with pytest.raises(ValidationError, match="is not sent without TLS"):
        SmtpSettings.model_validate({**login, "tls": "none"})
    assert SmtpSettings.model_validate({**login, "tls": tls}).tls == tls
    assert SmtpSettings().tls == "none"


def test_a_password_in_a_url_is_not_shown() -> None:
    assert without_password("http://u:p@hooks.example:8443/x?y") == "http://u:***@hooks.example:8443/x?y"
    for url in ("https://hooks.example/in", "http://hooks.example:80/x@y:z", "http://u@hooks.example/"):
        assert without_password(url) == url

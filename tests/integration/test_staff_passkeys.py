"""Users sign in by a passkey: a device of software, which signs as real ones do."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.conftest import NewDatabase
from tests.integration.staff_people import PASSWORD, Browser, Staff, staff_api, staff_engine

ORIGIN = "https://staff.example"
FLAG = AuthenticatorData.FLAG


@pytest_asyncio.fixture
async def engine(new_database: NewDatabase) -> AsyncIterator[AsyncEngine]:
    async with staff_engine(new_database) as engine:
        yield engine


@pytest_asyncio.fixture
async def staff(engine: AsyncEngine) -> AsyncIterator[Staff]:
    async with staff_api(engine) as staff:
        yield staff


@dataclass
class Device:
    """Verifies its user, and signs."""

    id: bytes = b"credential-1"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    origin: str = ORIGIN
    verifies: bool = True
    counter: int = 1
    handle: str = ""

    def _flags(self) -> FLAG:
        return FLAG.UP | (FLAG.UV if self.verifies else FLAG(0))

    def _party(self, options: dict[str, Any]) -> bytes:
        asked = options["publicKey"]
        return hashlib.sha256((asked.get("rpId") or asked["rp"]["id"]).encode()).digest()

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        self.handle = options["publicKey"]["user"]["id"]
        public = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        data = AttestedCredentialData.create(bytes(16), self.id, public)
        flags = self._flags() | FLAG.AT
        authenticator = AuthenticatorData.create(self._party(options), flags, self.counter, bytes(data))
        client = CollectedClientData.create("webauthn.create", options["publicKey"]["challenge"], self.origin)
        attestation = AttestationObject.create("none", authenticator, {})
        response = {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(bytes(attestation))}
        return self._credential(response)

    def sign(self, options: dict[str, Any]) -> dict[str, Any]:
        self.counter += 1
        authenticator = AuthenticatorData.create(self._party(options), self._flags(), self.counter)
        client = CollectedClientData.create("webauthn.get", options["publicKey"]["challenge"], self.origin)
        signature = self.key.sign(bytes(authenticator) + client.hash, ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(bytes(authenticator)),
            "signature": websafe_encode(signature),
            "userHandle": self.handle,
        }
        return self._credential(response)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        id = websafe_encode(self.id)
        return {"id": id, "rawId": id, "type": "public-key", "response": response, "clientExtensionResults": {}}


async def added(browser: Browser, device: Device, status: int = 201) -> Any:
    begun = await browser.json("POST", "/session/passkeys/begin", status=201)
    given = {"challenge": begun["challenge"], "credential": device.create(begun["options"]), "name": "phone"}
    return await browser.json("POST", "/session/passkeys", given, status)


async def signed_in(browser: Browser, device: Device, status: int = 201) -> Any:
    begun = await browser.json("POST", "/session/passkey/begin", status=201)
    given = {"challenge": begun["challenge"], "credential": device.sign(begun["options"])}
    found = await browser.json("POST", "/session/passkey", given, status)
    await browser.json("POST", "/session/passkey", given, 401)  # once
    return found


async def test_a_user_signs_in_by_a_passkey_which_is_both_factors(staff: Staff) -> None:
    anna, device = await staff.signed_in("anna", ("admin", "*")), Device()
    await anna.json("PUT", "/roles/admin", {"second_factor": True})
    assert (await anna.ask("GET", "/users")).status == 403
    await added(anna, device)
    assert (await anna.ask("GET", "/users")).status == 200

    browser = staff.browser()
    began = await signed_in(browser, device)
    assert (began["second_factor"], began["actor"]) == ("passed", "user:id-anna")
    assert (await browser.ask("GET", "/users")).status == 200
    [shown] = (await browser.json("GET", "/session/passkeys"))["passkeys"]
    assert shown["name"] == "phone" and shown["seen_at"]

    by_password = await staff.browser().sign_in("anna@example.com")
    assert (by_password["second_factor"], by_password["rights"]) == ("needed", [])


async def test_the_password_alone_adds_no_further_passkey(staff: Staff) -> None:
    anna = await staff.signed_in("anna")
    await added(anna, Device())
    thief = staff.browser()
    await thief.sign_in("anna@example.com", PASSWORD)
    await thief.json("POST", "/session/passkeys/begin", status=409)
    await thief.json("POST", "/session/totp", status=409)


@pytest.mark.parametrize("wrong", ["origin", "unverified", "key", "counter", "handle", "unknown", "disabled"])
async def test_what_is_no_proof_signs_no_one_in(staff: Staff, wrong: str) -> None:
    anna, device = await staff.signed_in("anna"), Device()
    await added(anna, device)
    device.origin = "https://evil.example" if wrong == "origin" else ORIGIN
    device.verifies = wrong != "unverified"
    device.key = ec.generate_private_key(ec.SECP256R1()) if wrong == "key" else device.key
    device.counter = 0 if wrong == "counter" else device.counter
    device.handle = websafe_encode(b"id-other") if wrong == "handle" else device.handle
    device.id = b"credential-2" if wrong == "unknown" else device.id
    if wrong == "disabled":
        root = await staff.signed_in("root", ("admin", "*"))
        await root.json("POST", "/users/id-anna/disable")
    assert (await signed_in(staff.browser(), device, 401))["code"] == "sign_in_failed"


async def test_a_passkey_is_added_to_its_own_account_in_time_and_removed(staff: Staff) -> None:
    anna, eve = await staff.signed_in("anna"), await staff.signed_in("eve")
    begun = await anna.json("POST", "/session/passkeys/begin", status=201)
    given = {"challenge": begun["challenge"], "credential": Device().create(begun["options"]), "name": "phone"}
    await eve.json("POST", "/session/passkeys", given, 400)
    begun = await anna.json("POST", "/session/passkeys/begin", status=201)
    given = {"challenge": begun["challenge"], "credential": Device().create(begun["options"]), "name": "phone"}
    staff.clock.forward(minutes=6)
    await anna.json("POST", "/session/passkeys", given, 400)
    await anna.json("POST", "/session/passkeys", given | {"credential": {}}, 400)
    await added(anna, Device(origin="https://evil.example"), 400)
    made = await added(anna, device := Device())
    await eve.json("DELETE", f"/session/passkeys/{made['id']}", status=404)
    await anna.json("DELETE", f"/session/passkeys/{made['id']}", status=204)
    await signed_in(staff.browser(), device, 401)

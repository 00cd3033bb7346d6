"""An OpenID Connect provider: where users are sent, and who it says that they are (OpenID Connect Core 1.0, the code
flow with PKCE, RFC 7636)."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus, urlencode

import orjson
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from shared.shell.http.outbound import Outbound, OutboundError

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures that only the provider can make."""
TIMEOUT = 10.0
LEEWAY = 60
STRONG = frozenset({"mfa", "otp", "hwk", "pop"})
"""Values of `amr` (RFC 8176) for more than a password."""


class ProviderFailed(Exception):
    """The provider did not answer, or what it answered proves nothing. The text is for the log, and names no one."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Kept until the user comes back."""

    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    subject: str
    email: str
    """Empty unless the provider has verified it."""
    second_factor: bool


class OpenIdProvider:
    """`private`: it may be at a private address."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, *, private: bool = False) -> None:
        self.issuer = issuer.rstrip("/")
        self._client_id, self._secret = client_id, client_secret
        self._outbound = Outbound(private=private, connections=10)

    async def begin(self, redirect: str, state: str) -> tuple[str, Begun]:
        """Where the user is sent. Raises ProviderFailed."""
        begun = Begun(secrets.token_urlsafe(32), secrets.token_urlsafe(48))
        url = prepare_grant_uri(
            str((await self._description())["authorization_endpoint"]),
            self._client_id,
            "code",
            redirect_uri=redirect,
            scope="openid email",
            state=state,
            nonce=begun.nonce,
            code_challenge=create_s256_code_challenge(begun.verifier),
            code_challenge_method="S256",
        )
        return str(url), begun

    async def identity(self, code: str, redirect: str, begun: Begun, now: datetime) -> Identity:
        """Raises ProviderFailed."""
        description = await self._description()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": begun.verifier,
        }
        given = await self._ask("POST", str(description["token_endpoint"]), form)
        keys: Any = await self._ask("GET", str(description["jwks_uri"]))
        try:
            token = jwt.decode(str(given["id_token"]), KeySet.import_key_set(keys), algorithms=ALGORITHMS)
            claims = self._checked(token, given, begun, now)
        except Exception as wrong:  # whatever its parsers raise for what they cannot read
            raise ProviderFailed(f"its ID token is not valid: {type(wrong).__name__}") from wrong
        verified = claims.get("email_verified") is True
        methods = claims.get("amr") or ()
        return Identity(
            str(claims["sub"]), str(claims.get("email") or "") if verified else "", bool(STRONG & {*methods})
        )

    def _checked(self, token: jwt.Token, given: Mapping[str, Any], begun: Begun, now: datetime) -> CodeIDToken:
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self._client_id},
            "nonce": {"essential": True, "value": begun.nonce},
        }
        params = {"nonce": begun.nonce, "client_id": self._client_id, "access_token": given.get("access_token")}
        claims = CodeIDToken(token.claims, token.header, options, params)
        claims.validate(now=int(now.timestamp()), leeway=LEEWAY)
        return claims

    async def _description(self) -> Mapping[str, Any]:
        found = await self._ask("GET", f"{self.issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != self.issuer:
            raise ProviderFailed("it calls itself by another issuer")
        if not {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= found.keys():
            raise ProviderFailed("its description lacks an endpoint")
        return found

    async def _ask(self, method: str, url: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        headers, body = {"Accept": "application/json"}, None
        if form is not None:
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Authorization"] = f"Basic {_basic(self._client_id, self._secret)}"
        try:
            response = await self._outbound.request(method, url, body, headers, timeout=TIMEOUT)
            answer = orjson.loads(response.body)
        except (OutboundError, ValueError) as trouble:
            raise ProviderFailed(f"it did not answer: {type(trouble).__name__}") from trouble
        if response.status != 200 or not isinstance(answer, dict):
            raise ProviderFailed(f"it answered {response.status}")
        return answer

    async def close(self) -> None:
        await self._outbound.close()


def _basic(client: str, secret: str) -> str:
    """RFC 6749, 2.3.1."""
    return base64.b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()

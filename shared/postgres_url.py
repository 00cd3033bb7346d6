"""PostgreSQL URLs, as the settings hold them: `postgresql://user:password@host:port/database?sslmode=verify-full`.

They are read strictly, so that what is misspelt is named and what is ambiguous never means something else to another
program. No text here repeats a part of a URL in which a password could be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import quote, unquote, urlencode

SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING = ("require", "verify-ca", "verify-full")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")
VALUES: Mapping[str, tuple[str, ...]] = {
    "sslmode": SSL_MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": TLS_VERSIONS,
    "ssl_max_protocol_version": TLS_VERSIONS,
    "target_session_attrs": ("any", "primary", "read-write"),
}
PARAMETERS = (*VALUES, *FILES, "sslpassword", "host", "port")
"""Those of libpq that the driver knows, without those that would change what our sessions rely on."""
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]:,\s]+)"
_HOSTS = re.compile(rf"{_HOST}(?::\d{{1,5}})?(?:,{_HOST}(?::\d{{1,5}})?)*")


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """A URL in its parts, decoded."""

    hosts: str
    """`host:port,host:port`; empty: the driver's default."""
    user: str
    password: str = field(repr=False)
    database: str
    parameters: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> PostgresUrl:
        """Raises ValueError with everything that is wrong; its text holds no part of the URL but parameters' names."""
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in SCHEMES:
            raise ValueError("must be of the form postgresql://user:password@host:port/database")
        if problems := _form_problems(rest):
            raise ValueError("; ".join(problems))
        place, _, query = rest.partition("?")
        authority, _, database = place.partition("/")
        credentials, _, hosts = authority.rpartition("@")
        user, _, password = credentials.partition(":")
        parameters, problems = _parameters(query)
        problems += _host_problems(hosts)
        if not database:
            problems.append("names no database: …@host:port/database")
        if problems:
            raise ValueError("; ".join(problems))
        return cls(hosts, unquote(user), unquote(password), unquote(database), parameters)

    def driver_url(self) -> str:
        """As asyncpg reads it."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        user = f"{quote(self.user, safe='')}{password}@" if self.user or password else ""
        query = f"?{urlencode(self.parameters, quote_via=quote)}" if self.parameters else ""
        return f"postgresql://{user}{self.hosts}/{quote(self.database, safe='')}{query}"

    def place(self) -> str:
        """For people: without user and password."""
        return f"database {self.database} at {self.hosts or self.parameters.get('host') or 'the default host'}"


def _form_problems(rest: str) -> list[str]:
    problems = []
    if re.search(r"[\s\x00-\x1f\x7f]", rest):
        problems.append("contains blanks or control characters")
    if "#" in rest:
        problems.append("write # as %23")
    if re.search(r"%(?![0-9A-Fa-f]{2})", rest):
        problems.append("write % as %25")
    elif not _decodes(rest):
        problems.append("its %-encoded characters are not UTF-8, or are control characters (write % as %25)")
    place = rest.partition("?")[0]
    if place.count("@") > 1:
        problems.append("write @ in user and password as %40")
    credentials, separator, _ = place.partition("@")
    if separator and (wrong := [char for char in "/?" if char in credentials]):
        problems.append(f"write {wrong[0]} in user and password as {quote(wrong[0], safe='')}")
    elif "?" in rest and "@" in rest.partition("?")[2] and not separator:
        problems.append("write ? in user and password as %3F")
    elif place.count("/") > 1:
        problems.append("write / in user, password and database as %2F")
    return problems


def _decodes(text: str) -> bool:
    try:
        return not re.search(r"[\x00-\x1f\x7f]", unquote(text, errors="strict"))
    except UnicodeDecodeError:
        return False


def _host_problems(hosts: str) -> list[str]:
    if not hosts:
        return []
    ports = [int(port) for port in re.findall(r"(?<!:):(\d+)(?=,|$)", hosts)]
    if not _HOSTS.fullmatch(hosts) or not all(0 < port < 65536 for port in ports):
        return [
            "host and port must be of the form host:port, [IPv6 address]:port or host:port,host:port (in user and "
            "password, write / as %2F, : as %3A, @ as %40)"
        ]
    return []


def _parameters(query: str) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    problems = []
    for part in query.split("&") if query else ():
        name, _, value = (unquote(text) for text in part.partition("="))
        if name not in PARAMETERS:
            problems.append(f"unknown parameter {_shown(name)}{_nearest(name)}")
        elif not value:
            problems.append(f"the parameter {name} has no value")
        elif name in found:
            problems.append(f"the parameter {name} is there twice")
        elif value not in VALUES.get(name, (value,)):
            problems.append(f"{name} must be one of {', '.join(VALUES[name])}")
        found[name] = value
    mode = found.get("sslmode", "prefer")
    if "sslrootcert" in found and mode not in VERIFYING:
        problems.append(f"sslrootcert is not used with sslmode={mode}: set sslmode=verify-full")
    if found.get("sslrootcert") == "system":
        problems.append("sslrootcert=system is not known: name the file (/etc/ssl/certs/ca-certificates.crt on Debian)")
    if ("sslkey" in found) != ("sslcert" in found):
        problems.append("sslcert and sslkey belong together")
    return found, problems


def _shown(name: str) -> str:
    """A name that was read where a password may have been, too."""
    return name if re.fullmatch(r"[a-z][a-z_]{0,40}", name) else "(not shown)"


def _nearest(name: str) -> str:
    near = get_close_matches(name.lower(), PARAMETERS, n=1)
    return f": did you mean {near[0]}?" if near else f" (there are {', '.join(PARAMETERS)})"

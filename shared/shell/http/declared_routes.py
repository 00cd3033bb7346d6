"""The routes of an application, with what each declares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aiohttp import web

from shared.shell.http.access import Access, access_of
from shared.shell.http.declaration import Declaration, declaration_of


@dataclass(frozen=True, slots=True)
class DeclaredRoute:
    method: str
    path: str
    """As in the document: `/orders/{key}`."""
    patterns: Mapping[str, str]
    """Of variables that match only some text."""
    access: Access
    declaration: Declaration


def routes_of(application: web.Application) -> Iterator[DeclaredRoute]:
    """All but those of HEAD. Raises TypeError."""
    for route in application.router.routes():
        if route.method == "HEAD" or route.resource is None:
            continue
        info = route.resource.get_info()
        path = info.get("path") or info["formatter"]
        access, declaration = access_of(route.handler), declaration_of(route.handler)
        if access is None or declaration is None:
            raise TypeError(f"{route.method} {path} does not declare what it takes and gives, or who may call it")
        yield DeclaredRoute(route.method, path, _patterns(info.get("pattern")), access, declaration)


def _patterns(whole: re.Pattern[str] | None) -> dict[str, str]:
    found = re.findall(r"\(\?P<(\w+)>((?:[^()]|\\.)+)\)", whole.pattern) if whole else []
    return {name: pattern for name, pattern in found if pattern != "[^{}/]+"}

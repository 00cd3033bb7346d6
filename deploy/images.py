"""Pins the images of Compose and Kubernetes by digest, at a release: `python -m deploy.images IMAGE [--write]`.

Tags stand in `compose.yaml` and `kustomization.yaml`, and can be moved. This asks each registry for the digest that a
tag has now. `--write` puts orderbus' own into `kustomization.yaml`, and all of them into `compose.digests.yaml`, which
goes on top of `compose.yaml`. No digest is written by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parent
COMPOSE, DIGESTS = DEPLOY / "compose/compose.yaml", DEPLOY / "compose/compose.digests.yaml"
KUSTOMIZATION = DEPLOY / "kubernetes/kustomization.yaml"
HUB = "registry-1.docker.io"
MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TIMEOUT = 30.0


class NoDigest(Exception):
    """A registry did not say it; the text says why."""


@dataclass(frozen=True)
class Image:
    registry: str
    name: str
    tag: str

    @classmethod
    def parse(cls, reference: str) -> Image:
        """`postgres:18`, `grafana/grafana:12.1.0`, `registry.example/shop/orderbus:0.1.0`."""
        path, _, tag = reference.rpartition(":")
        if not path or "/" in tag:
            raise NoDigest(f"{reference}: has no tag")
        first, slash, rest = path.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            return cls(first, rest, tag)
        return cls(HUB, path if slash else f"library/{path}", tag)

    @property
    def url(self) -> str:
        scheme = "http" if self.registry.split(":")[0] in ("localhost", "127.0.0.1") else "https"
        return f"{scheme}://{self.registry}/v2/{self.name}/manifests/{self.tag}"


def digest_of(reference: str) -> str:
    """The digest that the tag has now. Raises NoDigest."""
    image = Image.parse(reference)
    try:
        found = _asked(image.url, "")
    except (OSError, ValueError, KeyError) as trouble:
        raise NoDigest(f"{reference}: {trouble}") from trouble
    if not DIGEST.fullmatch(found):
        raise NoDigest(f"{reference}: the registry names no digest")
    return found


def _asked(url: str, token: str) -> str:
    headers = {"Accept": MANIFESTS} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, headers=headers, method="HEAD")  # noqa: S310  # of a registry
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            return str(answer.headers.get("Docker-Content-Digest", ""))
    except urllib.error.HTTPError as error:
        challenge = error.headers.get("WWW-Authenticate", "")
        if error.code != 401 or token or not challenge.lower().startswith("bearer "):
            raise
    return _asked(url, _token(dict(re.findall(r'(\w+)="([^"]*)"', challenge))))


def _token(challenge: Mapping[str, str]) -> str:
    """For reading a public image, which every caller gets."""
    query = urllib.parse.urlencode({name: challenge[name] for name in ("service", "scope") if name in challenge})
    with urllib.request.urlopen(f"{challenge['realm']}?{query}", timeout=TIMEOUT) as answer:  # noqa: S310
        said: dict[str, Any] = json.load(answer)
    return str(said.get("token") or said["access_token"])


def references(own: str) -> dict[str, str]:
    """The image of each service of Compose; `own`: that of orderbus, which Compose would build."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    return {name: own if "build" in service else str(service["image"]) for name, service in services.items()}


def pinned(reference: str, digest: str) -> str:
    return f"{reference.rpartition(':')[0]}@{digest}"


def kustomized(text: str, own: str, digest: str) -> str:
    """The kustomization with this image of orderbus."""
    block = f"  - name: orderbus\n    newName: {own.rpartition(':')[0]}\n    digest: {digest}\n"
    found = re.compile(r"  - name: orderbus\n    newName: .*\n    (?:newTag|digest): .*\n")
    if len(found.findall(text)) != 1:
        raise NoDigest(f"{KUSTOMIZATION.name} has no image of orderbus")
    return found.sub(block, text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.images", description="Pin images by their digests.")
    parser.add_argument("orderbus", metavar="IMAGE", help="orderbus' image in your registry, with its tag")
    parser.add_argument("--write", action="store_true", help="write compose.digests.yaml and kustomization.yaml")
    given = parser.parse_args(arguments)
    services = references(given.orderbus)
    try:
        digests = {reference: digest_of(reference) for reference in sorted({*services.values()})}
        kustomization = kustomized(KUSTOMIZATION.read_text(), given.orderbus, digests[given.orderbus])
    except NoDigest as trouble:
        print(trouble, file=sys.stderr)
        return 1
    for reference, digest in digests.items():
        print(f"{reference} {digest}")
    if given.write:
        images = {name: {"image": pinned(reference, digests[reference])} for name, reference in services.items()}
        DIGESTS.write_text(f"# Written by `python -m deploy.images --write`.\n{yaml.safe_dump({'services': images})}")
        KUSTOMIZATION.write_text(kustomization)
    return 0


if __name__ == "__main__":
    sys.exit(main())

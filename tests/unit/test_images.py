"""Images are pinned by the digests that registries name: here one that asks for a token, as Docker Hub does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from deploy import images
from deploy.images import NoDigest, digest_of, kustomized, main, references

DIGEST = "sha256:" + "ab" * 32
TOKEN = "a-token-to-pull"


class Registry(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            realm = f"http://{self.headers['Host']}/token"
            self.send_response(401)
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="here",scope="repository:x:pull"')
        elif self.path.startswith("/v2/shop/"):
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.path == "/token?service=here&scope=repository%3Ax%3Apull"
        self.send_response(200 if asked else 400)
        self.end_headers()
        self.wfile.write(json.dumps({"token": TOKEN}).encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_registry_is_asked_for_the_digest_of_a_tag(registry: str) -> None:
    assert digest_of(f"{registry}/shop/orderbus:0.1.0") == DIGEST
    with pytest.raises(NoDigest, match="HTTP Error 404"):
        digest_of(f"{registry}/other/orderbus:0.1.0")
    with pytest.raises(NoDigest, match="has no tag"):
        digest_of(f"{registry}/shop/orderbus")


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("postgres:18", "https://registry-1.docker.io/v2/library/postgres/manifests/18"),
        ("apache/kafka:4.4.0", "https://registry-1.docker.io/v2/apache/kafka/manifests/4.4.0"),
        ("registry.example:5000/orderbus:1", "https://registry.example:5000/v2/orderbus/manifests/1"),
    ],
)
def test_where_an_image_is(reference: str, url: str) -> None:
    assert images.Image.parse(reference).url == url


def test_all_images_are_pinned(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, text = f"{registry}/shop/orderbus:0.1.0", images.KUSTOMIZATION.read_text()
    compose = yaml.safe_load(images.COMPOSE.read_text())
    for name, service in compose["services"].items():
        if "build" not in service:
            service["image"] = f"{registry}/shop/{name}:1"
    for name, content in (("COMPOSE", yaml.safe_dump(compose)), ("DIGESTS", ""), ("KUSTOMIZATION", text)):
        path = tmp_path / name
        path.write_text(content)
        monkeypatch.setattr(images, name, path)

    assert main([own, "--write"]) == 0

    pinned = yaml.safe_load((tmp_path / "DIGESTS").read_text())["services"]
    assert pinned.keys() == compose["services"].keys()
    assert {one["image"].partition("@")[2] for one in pinned.values()} == {DIGEST}
    written = yaml.safe_load((tmp_path / "KUSTOMIZATION").read_text())
    assert written["images"] == [{"name": "orderbus", "newName": f"{registry}/shop/orderbus", "digest": DIGEST}]
    again = kustomized((tmp_path / "KUSTOMIZATION").read_text(), own, DIGEST)
    assert again == (tmp_path / "KUSTOMIZATION").read_text()


def test_nothing_is_written_if_one_is_missing(
    registry: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images, "references", lambda own: {"orderbus": own, "db": f"{registry}/other/db:1"})
    before = images.KUSTOMIZATION.read_text()
    assert main([f"{registry}/shop/orderbus:0.1.0", "--write"]) == 1
    assert "other/db:1: HTTP Error 404" in capsys.readouterr().err
    assert images.KUSTOMIZATION.read_text() == before


def test_own_images_are_those_that_compose_would_build() -> None:
    found = references("registry.example/orderbus:1")
    assert found["checkout-0"] == found["migrate"] == "registry.example/orderbus:1"
    assert found["postgres"].startswith("postgres:")
    assert not any("@" in image for image in found.values())

"""Stripe's own OpenAPI description and its request validator, both from the Go module stripe-mock.

stripe-mock's newest release describes the API of 2026-08-26 (dahlia), two releases older than what the SDK 16.1
sends (2026-10-28, endive). What changed in between for our calls is that `payment_method_types` may no longer be
sent (https://docs.stripe.com/changelog/endive); tests/integration/test_stripe_sandbox.py holds that.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

MODULE, VERSION = "github.com/stripe/stripe-mock", "v0.203.0"
SUM = "h1:EzW7nb/fphqcAkgVRHAaC88OaAZo6SBWSl54cflDTio="
Tree = dict[str, Any]


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "orderbus" / f"stripe-mock-{VERSION}"


def _go(*arguments: str) -> str:
    """Skips the test, with the reason, where Go is missing or cannot fetch the module."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: stripe-mock cannot be built, so nothing judged the Stripe sandbox here")
    place = os.environ | {"GOBIN": str(cache_folder()), "GOFLAGS": "-mod=mod"}
    done = subprocess.run(["go", *arguments], env=place, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        pytest.skip(f"go {arguments[0]} {MODULE} failed, so nothing judged the Stripe sandbox here: {last}")
    return done.stdout


def fetch() -> tuple[Path, Path]:
    """The program stripe-mock and the folder of the description; built once per user (half a minute)."""
    program, folder = cache_folder() / "stripe-mock", cache_folder() / "openapi"
    if not program.exists() or not folder.exists():
        module = json.loads(_go("mod", "download", "-json", f"{MODULE}@{VERSION}"))
        assert module["Sum"] == SUM, f"{MODULE} {VERSION} is not what it was: {module['Sum']}"
        _go("install", f"{MODULE}@{VERSION}")
        half_done = folder.with_suffix(f".{os.getpid()}")
        shutil.copytree(Path(module["Dir"]) / "embedded" / "openapi", half_done, copy_function=shutil.copyfile)
        half_done.chmod(0o755)
        with contextlib.suppress(OSError):
            half_done.rename(folder)
        shutil.rmtree(half_done, ignore_errors=True)
    return program, folder


@contextlib.contextmanager
def stripe_mock(program: Path) -> Iterator[str]:
    """The validator's address, while it runs."""
    arguments = [str(program), "-http-addr", "127.0.0.1:0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(r"Listening for HTTP at address: (\S+)", line):
                    yield f"http://{found[1]}"
                    return
            raise RuntimeError("stripe-mock ended before it listened")
        finally:
            process.terminate()


@dataclass
class Description:
    """The description, turned into JSON Schema that knows every property (a misspelt one is an error)."""

    paths: Tree
    schemas: Tree
    fixtures: Tree

    @classmethod
    def read(cls, folder: Path) -> Description:
        raw = orjson.loads((folder / "spec3.json").read_bytes())
        fixtures = orjson.loads((folder / "fixtures3.json").read_bytes())["resources"]
        schemas = {name: _as_json_schema(schema) for name, schema in raw["components"]["schemas"].items()}
        return cls(raw["paths"], schemas, fixtures)

    def problems(self, answer: Any, schema: Tree) -> list[str]:
        """What does not fit, each with its place in the answer."""
        validator = Draft202012Validator({**_as_json_schema(schema), "$defs": self.schemas})
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(answer)]

    def of_answer(self, method: str, path: str, status: int) -> Tree:
        """The schema of what an endpoint answers; `path` as the description writes it, `/v1/charges/{charge}`."""
        answers = self.paths[path][method.lower()]["responses"]
        schema: Tree = answers["200" if status == 200 else "default"]["content"]["application/json"]["schema"]
        return schema

    def missing(self, rendered: Tree) -> set[str]:
        """Properties that Stripe's own example of this object has and ours lacks."""
        kind = rendered["object"]
        known = set(self.schemas[kind]["properties"])
        return known & set(self.fixtures[kind]) - set(rendered)


DROPPED = ("description", "title", "format", "example")


def _as_json_schema(schema: Any) -> Any:
    """OpenAPI 3.0 to JSON Schema 2020-12. Enums that Stripe declares open (`x-stripeBypassValidation`) stay open."""
    if isinstance(schema, list):
        return [_as_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in DROPPED and not key.startswith("x-")}
    if schema.get("x-stripeBypassValidation"):
        kept.pop("enum", None)
    nullable = kept.pop("nullable", False) is True
    if isinstance(kept.get("$ref"), str):
        kept["$ref"] = kept["$ref"].replace("#/components/schemas/", "#/$defs/")
    for key in ("items", "anyOf", "oneOf", "allOf", "additionalProperties"):
        if key in kept:
            kept[key] = _as_json_schema(kept[key])
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {name: _as_json_schema(each) for name, each in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    return {"anyOf": [{"type": "null"}, kept]} if nullable else kept

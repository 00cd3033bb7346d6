"""Runs all benchmarks and prints their document as JSON: `python -m tests.benchmarks --quick --data FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import orjson
import uvloop

from tests.benchmarks.measure import QUICK, Plan, measure


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    document = uvloop.run(measure(given.data, QUICK if given.quick else Plan(), say))
    sys.stdout.buffer.write(orjson.dumps(document))

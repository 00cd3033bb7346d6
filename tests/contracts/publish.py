"""`python -m tests.contracts.publish`: stores the schema (`baseline/`) and one body (`golden/`) of each new message.

Existing files are never overwritten: they are what other systems rely on. While a message is not released yet, delete
its two files and run the command again.
"""

from __future__ import annotations

import json
from pathlib import Path

from deploy.documents.asyncapi import file_name, json_schema
from shared.contracts import published
from shared.contracts.envelope import encode
from shared.contracts.examples import EXAMPLES

HERE = Path(__file__).parent
GOLDEN, BASELINE = HERE / "golden", HERE / "baseline"


def main() -> None:
    for kind in published():
        body = json.loads(encode(EXAMPLES[kind]))
        for folder, content in ((GOLDEN, body), (BASELINE, json_schema(kind))):
            file = folder / file_name(kind)
            if not file.exists():
                file.parent.mkdir(exist_ok=True)
                file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                print(f"{folder.name}/{file.name}")


if __name__ == "__main__":
    main()

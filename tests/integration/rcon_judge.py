"""A game server by an independent library, in a process of its own: `python -m tests.integration.rcon_judge PASSWORD`.

Prints its port, then each command that it receives, as lines of JSON. `big N` answers N characters, `sleep N` after N
seconds, `hang` never.
"""

from __future__ import annotations

import json
import socket
import sys
import time

import rconx  # type: ignore[import-untyped,unused-ignore]


def main() -> None:
    password = sys.argv[1]
    players = "There are 1 of a max of 20 players online: Ada_1"

    def answer(content: rconx.RconContent, info: object) -> str:
        command = str(content.text)
        print(json.dumps({"command": command}), flush=True)
        name, _, rest = command.partition(" ")
        if name in ("sleep", "hang"):
            time.sleep(float(rest or 60))
        answers = {
            "list": players,
            "status": '# userid name uniqueid\n#  2 1 "Ada_1" STEAM_1:0:123 05:12 40 0 active',
            "playerlist": json.dumps([{"SteamID": "76561198000000001", "DisplayName": "Ada_1"}]),
            "big": "x" * int(rest) if name == "big" else "",
            "nonsense": "Unknown or incomplete command, see below for error",
            "leak": f"rcon_password is {password}",
            "quiet": "",
        }
        return answers.get(name, f"did {command}")

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = rconx.RconServer("127.0.0.1", port, authentication=password, command_handler=answer, backlog=50)
    server.serve(on_started=lambda: print(json.dumps({"port": port}), flush=True))


if __name__ == "__main__":
    main()

"""The process that starts every part of the stack, and ends all of them when the process that asked for them is gone.

It is the parent of all parts, so none can be started without its knowledge, and it notices the end of its own parent
(also by SIGKILL) because the socket between them closes. It uses the standard library only, one thread, about 10 MB.

Lines of JSON on the socket, both ways:

    {"id": 1, "start": {"argv", "env", "cwd", "log", "stop_signal", "account"}}
    {"id": 1, "pid": 42}  or  {"id": 1, "error": "…"}
    {"exited": 42, "code": -9}

Run as: python -I -S guardian.py SOCKET_FD
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

GRACE = 5.0
"""Seconds between the polite signal and SIGKILL, once the parent is gone."""

CAP_DAC_OVERRIDE = 1
PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAPABILITY_VERSION_3 = 0x20080522


def die_with_guardian() -> None:
    """Linux: the kernel kills this process when the guardian dies. Sound here, as the guardian has a single thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def become(uid: int, gid: int, reach_all_folders: bool) -> None:
    """Give up root for good.

    `reach_all_folders` keeps the one capability by which the account can pass folders closed to it, such as a 0700
    home above the data folder. Without it a project or data folder under root's home could not be used at all.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if reach_all_folders:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # access(2) leaves capabilities out for ordinary users otherwise, and initdb asks it about its programs.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if reach_all_folders:
        only = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)(only, only, only, 0, 0, 0)
        if libc.capset(header, sets) or libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0):
            raise OSError(ctypes.get_errno(), "cannot keep CAP_DAC_OVERRIDE")


class Guardian:
    def __init__(self, parent: socket.socket) -> None:
        self.parent = parent
        self.children: dict[int, tuple[subprocess.Popen[bytes], int]] = {}

    def serve(self) -> None:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(ignored, signal.SIG_IGN)
        pending = b""
        while True:
            readable, _, _ = select.select([self.parent.fileno(), wake_read], [], [])
            if wake_read in readable:
                os.read(wake_read, 4096)
                self.report_exits()
            if self.parent.fileno() in readable:
                received = self.receive()
                if not received:
                    break
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    self.answer(json.loads(line))
        self.end_all()

    def receive(self) -> bytes:
        try:
            return self.parent.recv(1 << 16)
        except OSError:
            return b""

    def answer(self, request: dict[str, Any]) -> None:
        try:
            reply = {"id": request["id"], "pid": self.start(**request["start"])}
        except (OSError, subprocess.SubprocessError) as failure:
            reply = {"id": request["id"], "error": str(failure)}
        self.send(reply)

    def start(
        self,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        log: str,
        stop_signal: int,
        account: tuple[int, int, bool] | None,
    ) -> int:
        def before_exec() -> None:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            for ours in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(ours, signal.SIG_DFL)
            if account:
                become(*account)
            die_with_guardian()

        with open(log, "ab") as output:  # noqa: PTH123  (no pathlib: this process must start in a blink)
            child = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=before_exec,  # noqa: PLW1509  (safe: this process has one thread)
            )
        self.children[child.pid] = (child, stop_signal)
        return child.pid

    def report_exits(self) -> None:
        for pid, (child, _) in list(self.children.items()):
            if child.poll() is not None:
                del self.children[pid]
                self.send({"exited": pid, "code": child.returncode})

    def send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self.parent.sendall(json.dumps(message).encode() + b"\n")

    def end_all(self) -> None:
        for pid, (_, stop_signal) in self.children.items():
            with contextlib.suppress(OSError):
                os.kill(pid, stop_signal)
        deadline = time.monotonic() + GRACE
        while self.children and time.monotonic() < deadline:
            self.report_exits()
            time.sleep(0.02)
        for pid in self.children:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    Guardian(socket.socket(fileno=int(sys.argv[1]))).serve()

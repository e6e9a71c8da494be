"""Sockets from systemd: in a child process that starts as systemd would start it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_CHILD = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid()) if sys.argv[1] == "mine" else "1"
from pbs_fast.errors import PbsError
from pbs_fast.serving.activation import inherited
try:
    found = inherited()
except PbsError as error:
    print("error:", error)
else:
    for name, each in sorted(found.items()):
        print(name, each.getsockname(), each.fileno(), each.getblocking(), os.get_inheritable(each.fileno()))
    print("again", inherited(), [name for name in os.environ if name.startswith("LISTEN_")])
"""


def child(sockets: list[socket.socket], names: str | None, pid: str = "mine") -> list[str]:
    environment = {**os.environ, "LISTEN_FDS": str(len(sockets))}
    if names is not None:
        environment["LISTEN_FDNAMES"] = names

    def hand_over() -> None:
        for number, each in enumerate(sockets):
            os.dup2(each.fileno(), 60 + number)
        for number in range(len(sockets)):
            os.dup2(60 + number, 3 + number)

    done = subprocess.run(
        [sys.executable, "-c", _CHILD, pid],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        close_fds=False,
        preexec_fn=hand_over,
    )
    return done.stdout.splitlines()


@pytest.fixture
def listeners(tmp_path: Path) -> Iterator[list[socket.socket]]:
    with socket.socket(socket.AF_UNIX) as a, socket.socket(socket.AF_UNIX) as b:
        for each, name in ((a, "a"), (b, "b")):
            each.bind(os.fspath(tmp_path / name))
            each.listen()
        yield [a, b]


AGAIN = "again {} []"


def test_sockets_come_by_name(listeners: list[socket.socket], tmp_path: Path) -> None:
    assert child(listeners, "control:status") == [
        f"control {tmp_path}/a 3 False False",
        f"status {tmp_path}/b 4 False False",
        AGAIN,
    ]


def test_those_of_another_process_are_not_ours(listeners: list[socket.socket]) -> None:
    """A wrapper that forgot to remove the variables."""
    assert child(listeners, "control:status", pid="other") == [AGAIN]


def test_nothing_is_handed_over() -> None:
    assert child([], "") == [AGAIN]


def test_sockets_without_names(listeners: list[socket.socket], tmp_path: Path) -> None:
    assert child(listeners[:1], None) == [f"unknown {tmp_path}/a 3 False False", AGAIN]
    assert child(listeners, None) == [
        "error: descriptor 4 (unknown), from systemd: a socket of the same name came before it; give each its own "
        "FileDescriptorName="
    ]


def test_what_is_no_listening_stream_is_refused() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram, socket.socket(socket.AF_UNIX) as silent:
        of_datagram, of_silent = child([datagram], "x"), child([silent], "x")
    assert of_datagram == ["error: descriptor 3 (x), from systemd: not a stream socket; use ListenStream="]
    assert of_silent == ["error: descriptor 3 (x), from systemd: not listening; use Accept=no"]
    with Path(os.devnull).open() as file:
        done = child([file], "x")  # type: ignore[list-item]  # what a wrong unit may hand over
    assert done == ["error: descriptor 3 (x), from systemd: not a socket (Socket operation on non-socket)"]

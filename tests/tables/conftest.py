"""Helpers of the table tests: a reader in a process of its own, and tables that are closed at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mta import private_directory
from pbs_fast.events import Grant
from pbs_fast.tables import Table, TableOptions, open_table

FILE_TYPES = ("hash", "btree", "lmdb", "cdb", "text")
#: Types that Postfix reads.
POSTFIX_TYPES = ("hash", "btree", "lmdb", "cdb", "socketmap")
#: Types whose changes an open session sees, and for which smtpd never restarts.
LIVE_TYPES = ("lmdb", "socketmap")
#: Types with keys as Exim spells them.
EXIM_TYPES = ("cdb?keys=exim", "hash?keys=exim", "text?keys=exim", "text?keys=iplsearch")
READER = Path(__file__).with_name("reader.py")

Opener = Callable[..., Table]


def grant(expires: int = 2_000_000_000, user: str | None = None, why: str = "new") -> Grant:
    return Grant(expires, user, "dovecot", why)


class Reader:
    """A process that reads tables as the MTA does: with its locks, without our writer's memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def rows(self, spec: str) -> dict[str, str]:
        answer = self._ask({"do": "list", "spec": spec})
        assert isinstance(answer, dict), answer
        return answer

    def watch(self, spec: str, keys: list[str]) -> None:
        """From now on poll the table and note whenever one of these keys is not there."""
        assert self._ask({"do": "watch", "spec": spec, "keys": keys}) == "watching"

    def watched(self) -> dict[str, Any]:
        """Stop polling; how many polls there were and what was missing."""
        answer = self._ask({"do": "stop"})
        assert isinstance(answer, dict), answer
        return answer

    def hold(self, file: Path, kind: str, seconds: float) -> None:
        """Hold the readers' shared lock for so long, in the background."""
        assert self._ask({"do": "hold", "file": str(file), "kind": kind, "seconds": seconds}) == "holding"

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    """One process for all tests: it opens a table for each question and keeps nothing."""
    process = Reader()
    yield process
    process.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postfix and other users may pass through (pytest's own is 0700)."""
    where = private_directory("table")
    yield where
    subprocess.run(["rm", "-rf", where], check=True)


@pytest.fixture
def opened(directory: Path) -> Iterator[Opener]:
    """Open a table `TYPE` or `TYPE?OPTIONS` in the test's directory; what a test leaves open is closed."""
    tables: list[Table] = []

    def opener(kind: str, **options: Any) -> Table:
        kind, mark, ours = kind.partition("?")
        where = f"unix:{directory}/relay.sock:pbs" if kind == "socketmap" else f"{directory}/relay"
        table = open_table(f"{kind}:{where}{mark}{ours}", options=TableOptions(**options))
        tables.append(table)
        return table

    yield opener
    for table in tables:
        table.close()

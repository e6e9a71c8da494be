"""Helpers of the table tests: a reader in a process of its own, and tables that are closed at the end."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mta import GROUP, PATIENCE, private_directory, unavailable
from pbs_fast.events import Grant
from pbs_fast.tables import Table, TableOptions, open_table

FILE_TYPES = ("hash", "btree", "lmdb", "cdb", "text")
#: Types that Postfix reads.
POSTFIX_TYPES = ("hash", "btree", "lmdb", "cdb", "socketmap", "policy")
#: Types whose changes an open session sees, and for which smtpd never restarts.
LIVE_TYPES = ("lmdb", "socketmap", "policy")
#: Types that the daemon answers itself.
SERVED_TYPES = ("socketmap", "policy", "policy?alone")
#: Types with keys as Exim spells them.
EXIM_TYPES = ("cdb?keys=exim", "hash?keys=exim", "lmdb?keys=exim&group=root", "text?keys=exim", "text?keys=iplsearch")
EXIM_LMDB = EXIM_TYPES[2]
#: Types of other MTAs, in files.
OTHER_TYPES = ("sendmail", "tcprules", "courier")
#: Its file is of text's kind, and nobody but us reads it; what only it does: test_exec.py.
EXEC = "exec?command=/bin/true"
#: Those whose value is what the MTA acts on, and what it is; it can name no user.
ACTED_ON = {
    "tcprules": 'allow,RELAYCLIENT=""',
    "courier": "allow,RELAYCLIENT",
    "policy": "OK",
    "policy?alone": "OK",
}
#: One for each kind of file there is; the other tables for Exim differ in their keys only.
KINDS = (*FILE_TYPES, EXIM_LMDB, *OTHER_TYPES)
#: tcprules as scripts/install-test-servers.sh unpacks it, and what plays Courier's tool.
# In a place that other accounts reach, as a checkout below /root is none.
_PLACE = tempfile.TemporaryDirectory(prefix="pbs-tools-")
Path(_PLACE.name).chmod(0o755)
atexit.register(_PLACE.cleanup)
_TOOLS = shutil.copytree(Path(__file__).with_name("bin"), Path(_PLACE.name) / "bin")
os.environ["PATH"] = ":".join((str(_TOOLS), os.environ["PATH"], "/opt/pbs-fast-tests/ucspi-tcp-ipv6/usr/bin"))
READER = Path(__file__).with_name("reader.py")


def grant(expires: int = 2_000_000_000, user: str | None = None, why: str = "new") -> Grant:
    return Grant(expires, user, "dovecot", why)


def value_of(kind: str) -> str:
    """The value of rows in a table of this type."""
    return ACTED_ON.get(kind, "ok")


@pytest.fixture(autouse=True)
def _short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """500 programs a rebuild, or waiting for a log that nobody reads, would take most of a test's time."""
    monkeypatch.setattr("pbs_fast.tables.types.exec.TURN", 0.05)
    monkeypatch.setattr("pbs_fast.tables.policy.table.PATIENCE", 0.05)


@pytest.fixture(autouse=True)
def _tools(request: pytest.FixtureRequest) -> None:
    if "tcprules" in request.node.name and shutil.which("tcprules") is None:
        unavailable("tcprules is not there")


class Reader:
    """A process that reads tables as the MTA does: with its locks, without our writer's memory."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def rows(self, spec: str, asked: Iterable[str] = ()) -> dict[str, str]:
        """All rows; of a table that is served, whose rows nobody can list, those of the keys `asked` for."""
        answer = self._ask({"do": "list", "spec": spec, "asked": [*asked]})
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

    def hold(self, file: Path, kind: str) -> None:
        """Hold the readers' shared lock, in the background, until `release`; the test's end is one too."""
        assert self._ask({"do": "hold", "file": str(file), "kind": kind}) == "holding"

    def release(self) -> None:
        """End what is held; returns when nothing is."""
        assert self._ask({"do": "release"}) == "released"

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="session")
def one_reader() -> Iterator[Reader]:
    """One process for all tests: it opens a table for each question and keeps nothing."""
    process = Reader()
    yield process
    process.close()


@pytest.fixture
def reader(one_reader: Reader) -> Iterator[Reader]:
    """It holds no lock once a test is over."""
    yield one_reader
    one_reader.release()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that Postfix and other users may pass through (pytest's own is 0700)."""
    where = private_directory("table")
    os.environ["PBS_TABLE_DIRECTORY"] = str(where)  # for tables/bin
    yield where
    subprocess.run(["rm", "-rf", where], check=True)


class Opener:
    """Opens tables `TYPE` or `TYPE?OPTIONS` in the test's directory; what a test leaves open is closed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._tables: list[Table] = []

    def spec(self, kind: str) -> str:
        """With the options, as another process opens it; `Table.spec` is what the MTA is told."""
        kind, mark, ours = kind.partition("?")
        place = f"{self._directory}/relay"
        where = {"socketmap": f"unix:{place}.sock:pbs", "policy": f"unix:{place}.sock"}.get(kind, place)
        return f"{kind}:{where}{mark}{ours}"

    def __call__(self, kind: str, **options: Any) -> Table:
        table = open_table(self.spec(kind), options=TableOptions(**{"group": GROUP, **options}))
        self._tables.append(table)
        return table

    def close(self) -> None:
        for table in self._tables:
            table.close()


@pytest.fixture
def opened(directory: Path) -> Iterator[Opener]:
    opener = Opener(directory)
    yield opener
    opener.close()

"""Real Sendmail reads our tables, with exactly the lines of docs/MTA-SENDMAIL.md."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.running import Site, login
from mta import wait_for
from mta.guide import blocks
from mta.netns import FOUR, NEAR, OTHER, OTHER6, SIX, Namespace, Reply, namespace
from mta.sendmail import LOCAL, Sendmail, place, require_sendmail
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.tables import Table, TableOptions, list_rows, open_table
from pbs_fast.tables.file.notify import pending_file
from tables.conftest import Opener, Reader, grant

GUIDE = "MTA-SENDMAIL.md"
NAMES = ("sendmail", "socketmap")
BOB = f"bob@{LOCAL}"
DENIED, ACCEPTED = "$# error $@ 5 . 7 . 1", "$# OK"
#: A client that Sendmail's access map lets relay (mta/sendmail.py).
TRUSTED = "192.0.2.77"


def test_every_variant_of_the_guide_is_tested() -> None:
    assert set(blocks(GUIDE)) == {"mc rules", *(f"{what} {name}" for what in ("run", "mc") for name in NAMES)}


def lines(name: str, directory: Path) -> list[str]:
    """What the guide adds to sendmail.mc."""
    found = blocks(GUIDE, directory)
    return [*found[f"mc {name}"], *found["mc rules"]]


def spec(name: str, directory: Path) -> str:
    words = shlex.split(" ".join(blocks(GUIDE, directory)[f"run {name}"]))
    assert words[:2] == ["pbs-fast", "run"]
    return words[2].removeprefix("--dbfile=")


@pytest.fixture(scope="module")
def network() -> Iterator[Namespace]:
    require_sendmail()
    with namespace() as made:
        yield made


@pytest.fixture
def safe() -> Iterator[Path]:
    """A directory that Sendmail finds safe; the tests' own lie below /tmp."""
    require_sendmail()
    with place() as made:
        yield made


def denied(reply: Reply) -> bool:
    """The permanent refusal that a client not in the table gets."""
    return reply.code == 550 and "elaying denied" in reply.text


def relays(sendmail: Sendmail, client: str) -> bool:
    return sendmail.rcpt(client).code == 250


@pytest.mark.parametrize("name", NAMES)
def test_the_lines_as_they_stand(name: str, network: Namespace, safe: Path) -> None:
    """A login opens the relay; kill -9 of the daemon touches no inbound mail, and relaying as the guide says."""
    site = Site(safe)
    site.spec = spec(name, safe)
    try:
        daemon = site.start()
        with Sendmail(network, safe, lines(name, safe)) as sendmail:
            sendmail.start()
            assert denied(sendmail.rcpt(FOUR))
            assert sendmail.rcpt(OTHER, BOB).code == 250
            with sendmail.session(FOUR) as open_session:
                assert denied(open_session.rcpt("friend@elsewhere.test"))
                for client in (FOUR, SIX):
                    site.append(login(client))
                    wait_for(f"{client} may relay", partial(relays, sendmail, client))
                assert open_session.rcpt("friend@elsewhere.test").code == 250
            for client in (OTHER, NEAR, OTHER6):
                assert denied(sendmail.rcpt(client))
            daemon.kill()
            for client in (FOUR, OTHER):
                assert sendmail.rcpt(client, BOB).code == 250
            codes = [sendmail.rcpt(client).code for client in (FOUR, SIX, OTHER)]
            assert codes == ([451] * 3 if name == "socketmap" else [250, 250, 550])
            site.start()
            assert sendmail.rcpt(FOUR).code == 250
            assert denied(sendmail.rcpt(OTHER))
    finally:
        site.close()


@pytest.mark.parametrize("delay", [True, False])
def test_what_the_rule_set_makes_of_clients(delay: bool, network: Namespace, safe: Path) -> None:
    table = open_table(spec("sendmail", safe))
    table.rebuild({FOUR: grant(), SIX: grant()})
    sendmail = Sendmail(network, safe, lines("sendmail", safe), delay=delay)
    assert sendmail.check_rcpt(FOUR) == sendmail.check_rcpt(SIX) == ACCEPTED
    for client in (OTHER, OTHER6, NEAR, "203.0.113.55", "203.0.11.35", "2001:db8::b", "0.0.0.0"):  # noqa: S104
        assert sendmail.check_rcpt(client).startswith(DENIED), client
    refused = sendmail.check_rcpt(FOUR, f"unwanted@{LOCAL}")
    assert refused.startswith("$# error $@ 5 . 2 . 1"), "a row of ours ends no other refusal"
    assert not sendmail.check_rcpt(TRUSTED).startswith("$# error")
    assert not sendmail.check_rcpt(OTHER, BOB).startswith("$# error")
    table.apply(Delta({}, (FOUR,)))
    assert sendmail.check_rcpt(FOUR).startswith(DENIED)
    assert sendmail.check_rcpt(SIX) == ACCEPTED
    # A fault: the table is gone.
    assert table.file is not None
    table.file.unlink()
    for client in (FOUR, SIX, OTHER):
        assert sendmail.check_rcpt(client).startswith('$# error $@ 4 . 3 . 0 $: "451 ')
    assert not sendmail.check_rcpt(OTHER, BOB).startswith("$# error")
    assert not sendmail.check_rcpt(TRUSTED).startswith("$# error"), "may relay without us"
    table.heartbeat()
    assert sendmail.check_rcpt(SIX) == ACCEPTED
    table.close()


def test_an_open_session_sees_each_change(network: Namespace, safe: Path) -> None:
    """In place and across new files, many in one second."""
    table = open_table(spec("sendmail", safe))
    table.rebuild({})
    with Sendmail(network, safe, lines("sendmail", safe)) as sendmail:
        sendmail.start()
        with sendmail.session(FOUR) as session:

            def may() -> bool:
                reply = session.rcpt("friend@elsewhere.test")
                assert reply.code == 250 or denied(reply), reply
                return reply.code == 250

            assert not may()
            for _ in range(5):
                table.apply(Delta({FOUR: grant()}))
                assert may()
                table.apply(Delta({}, (FOUR,)))
                assert not may()
            for _ in range(3):
                table.rebuild({FOUR: grant()})
                assert may()
                table.rebuild({})
                assert not may()
    table.close()


def test_compressed_addresses(network: Namespace, safe: Path) -> None:
    table = open_table(f"sendmail:{safe}/relay?ipv6=short")
    table.rebuild({SIX: grant()})
    macros = ["define(`confUSE_COMPRESSED_IPV6_ADDRESSES', `True')dnl"]
    with Sendmail(network, safe, lines("sendmail", safe), macros=macros) as sendmail:
        sendmail.start()
        assert sendmail.rcpt(SIX).code == 250
        assert denied(sendmail.rcpt(OTHER6))
    table.close()


def test_a_tag_before_the_address(network: Namespace, safe: Path) -> None:
    table = open_table(f"sendmail:{safe}/relay?tag=POP:")
    table.rebuild({FOUR: grant(), SIX: grant()})
    tagged = [line.replace("popauth $&", "popauth POP:$&") for line in lines("sendmail", safe)]
    sendmail = Sendmail(network, safe, tagged)
    assert sendmail.check_rcpt(FOUR) == sendmail.check_rcpt(SIX) == ACCEPTED
    assert sendmail.check_rcpt(OTHER).startswith(DENIED)
    assert list_rows(f"sendmail:{safe}/relay?tag=POP:") == [(SIX, "ok"), (FOUR, "ok")]
    table.close()


def test_a_map_of_another_user(network: Namespace, safe: Path) -> None:
    """As the shipped units run the daemon: its own user owns directory and map."""
    table = open_table(spec("sendmail", safe))
    table.rebuild({FOUR: grant()})
    table.close()
    sendmail = Sendmail(network, safe, lines("sendmail", safe))
    for path in (safe, *safe.glob("relay*")):
        shutil.chown(path, "nobody", "nogroup")
    assert sendmail.check_rcpt(FOUR) == ACCEPTED


# The options


@pytest.mark.parametrize(("lock", "other"), [("flock", "fcntl"), ("fcntl", "flock")])
def test_the_lock_is_the_one_of_its_build(lock: str, other: str, opened: Opener, reader: Reader) -> None:
    table = opened(f"sendmail?lock={lock}")
    table.rebuild({})
    assert table.file is not None
    reader.hold(table.file, other)
    table.apply(Delta({FOUR: grant()}))
    reader.hold(table.file, lock)
    with pytest.raises(TableError, match=f"{lock} lock"):
        table.apply(Delta({SIX: grant()}))
    reader.release()
    table.apply(Delta({SIX: grant()}))
    assert sorted(reader.rows(opened.spec(f"sendmail?lock={lock}"))) == [SIX, FOUR]


#: Ends with 0 when a writer, which is another process, gets the lock.
WRITER = """
import fcntl, sys
with open(sys.argv[2], "r+b") as file:
    getattr(fcntl, sys.argv[1])(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


@pytest.mark.parametrize("call", ["flock", "lockf"])
def test_a_writer_of_either_lock_waits_for_a_listing(
    call: str, opened: Opener, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = opened("sendmail")
    table.rebuild({FOUR: grant()})
    table.close()

    def writes() -> bool:
        words = [sys.executable, "-c", WRITER, call, f"{directory}/relay.db"]
        return subprocess.run(words, stderr=subprocess.DEVNULL, check=False).returncode == 0

    seen: list[bool] = []

    class Engine:
        """Berkeley DB, with a look at the lock before the first row is read."""

        def __init__(self) -> None:
            self._handle = engine()

        def cursor(self) -> Any:
            seen.append(writes())
            return self._handle.cursor()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._handle, name)

    from pbs_fast.tables.types.bdb import db

    engine = db.DB
    monkeypatch.setattr(db, "DB", Engine)
    assert list_rows(opened.spec("sendmail")) == [(FOUR, "ok")]
    assert seen == [False]
    assert writes(), "afterwards it may"


def test_an_option_may_change_between_two_starts(opened: Opener, directory: Path) -> None:
    """Rows of the spelling before are known as ours; those behind another's tag are not."""
    before = ""
    for options in ("tag=POP:", "tag=POP:&ipv6=short", "ipv6=short", "tag=mine:"):
        table = opened(f"sendmail?{options}")
        assert sorted(table.load()) == ([SIX, FOUR] if before else [])
        table.rebuild({FOUR: grant(), SIX: grant()})
        table.close()
        before = options
    assert [key for key, _ in list_rows(f"hash:{directory}/relay")] == [
        f"mine:{FOUR}",
        "mine:ipv6:2001:db8:0:0:a:0:0:b",
    ]
    with pytest.raises(TableError, match="2 rows that are not ours"):
        opened("sendmail").load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("tag=POP", "needs a word and a colon"),
        ("tag=203.0.113.5:", "needs a word and a colon"),
        ("ipv6=long", "ipv6 is full or short"),
        ("lock=none", "lock is flock or fcntl"),
        ("signal=sendmail.pid", "needs the absolute path"),
        ("signal=", "needs the absolute path"),
    ],
)
def test_bad_options_are_named(options: str, message: str, directory: Path) -> None:
    with pytest.raises(UsageError, match=message):
        open_table(f"sendmail:{directory}/relay?{options}")
    assert not list(directory.iterdir())


class Signalled:
    """A table with `signal=`, and a process named sendmail."""

    def __init__(self, directory: Path, opened: Opener) -> None:
        self.pid_file = directory / "sendmail.pid"
        self.program = directory / "sendmail"
        shutil.copy("/bin/sleep", self.program)
        self.table: Table = opened(f"sendmail?signal={self.pid_file}")
        self.process = subprocess.Popen([self.program, "60"])
        comm = Path(f"/proc/{self.process.pid}/comm")
        wait_for("its name", lambda: comm.read_text() == "sendmail\n")  # exec sets it late
        self.pid_file.write_text(f"{self.process.pid}\n/usr/sbin/sendmail -bd\n")

    @property
    def notify_pending(self) -> bool:
        assert self.table.file is not None
        return pending_file(self.table.file).exists()


@pytest.fixture
def signalled(directory: Path, opened: Opener) -> Iterator[Signalled]:
    made = Signalled(directory, opened)
    yield made
    made.process.kill()
    made.process.wait()


def test_signal_after_a_change(signalled: Signalled) -> None:
    signalled.table.rebuild({})
    assert signalled.process.wait(60) == -1, "SIGHUP"
    assert not signalled.notify_pending
    signalled.table.apply(Delta({FOUR: grant()}))  # it does not run: nothing is told, nothing is wrong
    signalled.pid_file.unlink()
    signalled.table.apply(Delta({SIX: grant()}))
    assert not signalled.notify_pending
    assert signalled.table.window >= 5


def test_only_sendmail_is_signalled(signalled: Signalled) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        wait_for("the program", lambda: Path(f"/proc/{other.pid}/comm").read_text().strip() == "sleep")
        signalled.pid_file.write_text(f"{other.pid}\n")
        with pytest.raises(TableError, match=r"process \d+ from .*sendmail.pid is 'sleep', not Sendmail; fix signal="):
            signalled.table.rebuild({FOUR: grant()})
        assert other.poll() is None
        assert signalled.notify_pending
        other.kill()
    signalled.pid_file.write_text(f"{signalled.process.pid}\n")
    signalled.table.apply(Delta())
    assert signalled.process.wait(60) == -1, "notified later"
    signalled.pid_file.write_text("junk\n")
    with pytest.raises(TableError, match="cannot read Sendmail's pid"):
        signalled.table.apply(Delta({SIX: grant()}))


def test_the_group_may_read_values_that_name_users(directory: Path) -> None:
    table = open_table(f"sendmail:{directory}/relay", options=TableOptions(value="ok {user}"))
    table.rebuild({FOUR: grant(user="ann")})
    assert table.file is not None
    assert table.file.stat().st_mode & 0o777 == 0o640
    table.close()

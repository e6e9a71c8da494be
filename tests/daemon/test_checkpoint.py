"""A checkpoint is a cache that nobody has to believe: whatever stands in it, the start goes on and each row ends.

Thousands of tampered ones, each taken over by the parts that a start is made of: nothing is raised, and no row ends
later than a login of now would.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbs_fast.daemon.checkpoint import Checkpoint, CheckpointError, read_checkpoint, write_checkpoint
from pbs_fast.daemon.follower import Follower
from pbs_fast.daemon.resume import resume
from pbs_fast.events import Batch, Grant
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.ledger.sessions import Ends, OpenSessions, Session
from pbs_fast.ledger.state import State
from pbs_fast.matching import load_backend
from pbs_fast.matching.zones import zone_table
from pbs_fast.sources.file.position import Position
from pbs_fast.sources.wakeup import Hints
from support.clock import FakeClock

NOW = 1_700_000_000
GRACE, LONGEST = 600, 7200
ENDS: dict[str, Ends] = {"dovecot": "session", "courier": "address"}
IPS = ("203.0.113.1", "203.0.113.2", "2001:db8::3")
#: A row without an open session.
IDLE = "198.51.100.4"


class Start:
    """What a start resumes with, on a log that was read half."""

    def __init__(self, place: Path) -> None:
        self.path = str(place / "sessions")
        self.logs = [str(place / "mail.log"), str(place / "other.log")]
        for log in self.logs:
            Path(log).write_bytes(b"Nov 14 22:13:20 hub systemd[1]: Started something.\n" * 40)
        self._core = load_backend("python")
        self._matcher = self._core.Matcher(load_catalogue(), zone_table("UTC"))
        self._hints = Hints()

    def close(self) -> None:
        self._hints.close()

    def follow(self, path: str, position: Position) -> Follower:
        return Follower(
            path,
            self._core,
            self._matcher,
            grace=GRACE,
            start=position,
            hints=self._hints,
        )

    def record(self) -> dict[str, Any]:
        """A checkpoint as a run leaves it."""
        positions = {}
        for path in self.logs:
            data = Path(path).read_bytes()
            found = os.stat(path)  # noqa: PTH116
            place = {"device": found.st_dev, "inode": found.st_ino, "offset": 1000 - 1000 % 51}
            end = place["offset"]
            more = {"head": data[:256].hex(), "tail": data[end - 256 : end].hex(), "discarding": False}
            positions[path] = Position.from_json(
                {**place, **more, "mtime_ns": found.st_mtime_ns, "others": [], "closed": []}
            )
        rows = {ip: Grant(NOW + 60 + number, "ann", "dovecot", "new", "hub") for number, ip in enumerate((*IPS, IDLE))}
        sessions = [
            (("hub", "dovecot", "", "one"), Session(IPS[0], NOW - 900, "ann", "dovecot", "hub")),
            (("hub", "courier", IPS[1], "imapd[7]"), Session(IPS[1], NOW - 90, None, "courier", "hub")),
            (("hub", "courier", IPS[2], 3), Session(IPS[2], NOW - 9, "eve", "courier", "hub")),
        ]
        write_checkpoint(self.path, positions, State(rows, list(sessions)), NOW - 5)
        record: dict[str, Any] = json.loads(Path(self.path).read_bytes())
        return record

    def resumed(self) -> Ledger | None:
        """The ledger after a start that could go on from the file; None after one that has to replay."""
        clock = FakeClock(float(NOW))
        ledger = Ledger(GRACE, sessions=OpenSessions(LONGEST, ENDS))
        followers = resume(self.path, self.logs, ledger, clock, self.follow)
        if followers is None:
            return None
        for follower in followers:
            while follower.replaying:
                ledger.observe(follower.step(), clock.now(), shift=clock.shift())
            follower.close()
        ledger.finish_replay(clock.now())
        return ledger


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made = Start(tmp_path)
    yield made
    made.close()


def test_a_checkpoint_as_it_was_written_is_taken(start: Start) -> None:
    start.record()
    ledger = start.resumed()
    assert ledger is not None
    assert set(ledger.rows()) == {*IPS, IDLE}
    assert len(ledger.sessions) == 3


#: What a tampered value may be: numbers beyond all clocks and integers, other types, other texts.
VALUES: tuple[Callable[[random.Random], object], ...] = (
    lambda r: r.choice([10**400, -(10**400), 2**63, 2**64, -1, 0, 1, NOW, NOW + 10**9, NOW * 1000, 2**53, 2**31]),
    lambda r: r.choice([0.5, 1e308, float("inf"), float("nan"), -0.0]),
    lambda r: r.choice([None, True, False, [], {}, "", [[]], {"a": 1}]),
    lambda r: r.choice(["x", "0", str(NOW), "\ud800", "\0", "203.0.113.9", "2001:DB8::1", "a" * 5000, *IPS]),
    lambda r: r.randrange(NOW - 10_000, NOW + 100_000),
    lambda r: r.choice([[1, 2, 3, 4], ["hub"] * 9, {"offset": 1}]),
)


def tamper(record: Any, r: random.Random) -> Any:
    """Change one thing somewhere in a document."""
    while True:
        if isinstance(record, dict) and record and r.random() < 0.85:
            key = r.choice([key for key in record for _ in range(5 if key in {"rows", "sessions"} else 1)])
            return {**record, key: tamper(record[key], r)}
        if isinstance(record, list) and record and r.random() < 0.85:
            at = r.randrange(len(record))
            return [*record[:at], tamper(record[at], r), *record[at + 1 :]]
        break
    choice = r.random()
    if choice < 0.15 and isinstance(record, dict) and record:
        gone = r.choice(list(record))
        return {key: value for key, value in record.items() if key != gone}
    if choice < 0.3 and isinstance(record, dict):
        return {**record, str(VALUES[3](r)): r.choice(list(record.values()) or [1])}
    if choice < 0.45 and isinstance(record, list) and record:
        return [*record, r.choice(record)]
    if choice < 0.55 and isinstance(record, list) and record:
        return record[:-1]
    if choice < 0.75 and isinstance(record, int):
        return record + r.choice([-1, 1, 300, 301, 10**6, 10**9, -(10**6)])
    return r.choice(VALUES)(r)


def spelled(record: Any, r: random.Random) -> bytes:
    """A document as JSON; at times damaged as text."""
    data = json.dumps(record).encode()
    if r.random() < 0.1:
        at = r.randrange(len(data))
        damage = r.choice([b"", b"\xff", b"[" * 50_000, b"9" * 5000, b"\0", b'"', b"}"])
        data = data[:at] + damage + data[at + r.choice([0, 1, 50]) :]
    return data


@pytest.mark.parametrize("seed", range(4))
def test_no_tampered_checkpoint_ends_a_start_or_leaves_a_row_without_an_end(start: Start, seed: int) -> None:
    r = random.Random(seed)
    good = start.record()
    latest = NOW + max(GRACE, LONGEST)
    taken = refused = bounded = 0
    for _ in range(1_000):
        record = good
        for _ in range(r.choice([1, 1, 1, 2, 4])):
            record = tamper(record, r)
        Path(start.path).write_bytes(spelled(record, r))
        ledger = start.resumed()
        if ledger is None:
            refused += 1
            continue
        taken += 1
        rows = ledger.rows()
        assert all(NOW < row.expires <= latest for row in rows.values()), record
        bounded += any(end > NOW + GRACE for end, *_ in json.loads(Path(start.path).read_bytes())["rows"].values())
        # It works on: sessions end, what is left can be saved and read again, and in the end nothing is left.
        ledger.observe(logouts(), NOW + 1)
        write_checkpoint(start.path, {}, ledger.state(), NOW + 1)
        again = read_checkpoint(start.path, logs=[], ends=ENDS, window=LONGEST, wall=NOW + 1)
        assert isinstance(again, Checkpoint)
        ledger.expire(latest)
        assert not ledger.rows(), record
        assert not len(ledger.sessions)
    # Both sides of the property were reached.
    assert taken > 50, taken
    assert refused > 500, refused
    assert bounded, bounded


def logouts() -> Batch:
    """An end of each session that the good checkpoint holds."""
    ends = [("dovecot", "", "one", ""), ("courier", IPS[1], None, "imapd[7]"), ("courier", IPS[2], None, "")]
    batch = Batch("log")
    for format_, ip, session, process in ends:
        for column, value in {
            "ip": ip,
            "first": NOW,
            "last": NOW,
            "n": 1,
            "kind": "logout",
            "format": format_,
            "host": "hub",
            "offset": 0,
            "tls": None,
            "loop": False,
            "session": session,
            "process": process,
            "user_first": None,
            "user_last": None,
            "users": 1,
        }.items():
            getattr(batch, column).append(value)
    return batch


def test_one_that_was_written_while_the_clock_stood_ahead_is_refused(start: Start) -> None:
    """The clock said 2036, the checkpoint has its times by it, and the clock was set right."""
    record = start.record()
    ahead = 2_085_000_000 - NOW
    record["written"] += ahead
    record["rows"] = {ip: [end + ahead, *more] for ip, (end, *more) in record["rows"].items()}
    record["sessions"] = [[*fields[:5], fields[5] + ahead, *fields[6:]] for fields in record["sessions"]]
    Path(start.path).write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="was written 384999995 s in the future: was the clock set back"):
        read_checkpoint(start.path, logs=start.logs, ends=ENDS, window=LONGEST, wall=NOW)
    assert start.resumed() is None


def test_what_is_within_the_slack_is_bounded_and_not_refused(start: Start) -> None:
    record = start.record()
    record["written"] = NOW + 4
    record["rows"][IPS[0]][0] = NOW + 20 * 86_400  # of a run with a longer grace
    record["sessions"][0][5] = NOW + 200  # a log whose clock is ahead of ours
    Path(start.path).write_text(json.dumps(record))
    ledger = start.resumed()
    assert ledger is not None
    assert ledger.rows()[IPS[0]].expires == NOW + LONGEST
    ledger.expire(NOW + LONGEST)
    assert not ledger.rows()


@pytest.mark.parametrize("field", [0, 1, 2, 3])
def test_sessions_that_contradict_themselves_mean_a_replay(start: Start, field: int) -> None:
    """One session at two addresses, or one whose parts do not go together, is none that a ledger ever had."""
    record = start.record()
    first = record["sessions"][0]
    other = [*first[:4], IPS[1], *first[5:]]
    record["sessions"].append(other if field == 3 else [*other[:field], "x", *other[field + 1 : 3], "y", *other[4:]])
    Path(start.path).write_text(json.dumps(record))
    assert start.resumed() is None


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"9" * 10_000, b"\xff\xfe", b"", b"null", b"[]", b'{"version": 1}', b'{"a":' * 50_000],
    ids=["brackets", "digits", "utf-16", "empty", "null", "list", "bare", "objects"],
)
def test_text_that_is_no_checkpoint_means_a_replay(start: Start, content: bytes) -> None:
    start.record()
    Path(start.path).write_bytes(content)
    assert start.resumed() is None


def test_what_is_no_file_means_a_replay_and_is_not_replaced(start: Start, tmp_path: Path) -> None:
    """A FIFO must not hang the start, a device not fill the memory, and neither become a file."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (str(fifo), "/dev/zero", str(tmp_path)):
        start.path = path
        assert start.resumed() is None
        with pytest.raises(OSError, match=r"Not a regular file|Is a directory"):
            write_checkpoint(path, {}, State({}, []), NOW)
    assert fifo.is_fifo()
    assert Path("/dev/zero").is_char_device()


def test_a_link_or_a_fifo_in_the_way_of_the_new_file_is_not_followed(tmp_path: Path) -> None:
    path, precious = tmp_path / "sessions", tmp_path / "precious"
    precious.write_text("keep")
    fresh = tmp_path / "sessions.tmp"
    for put in (lambda: fresh.symlink_to(precious), lambda: os.mkfifo(fresh)):
        put()
        write_checkpoint(str(path), {}, State({}, []), NOW)
        assert path.is_file()
        assert path.stat().st_mode & 0o777 == 0o600
        assert not fresh.exists()
    assert precious.read_text() == "keep"

"""The journal source on real journal files: replay, following, rotation, vacuum, restarts; lines equal what was logged.

The files are written by systemd-journal-remote, and where trusted fields, rotation and vacuum must be journald's own,
by a journald of our own with processes in control groups named like units.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mta import private_directory, wait_for
from pbs_fast.errors import SourceError
from pbs_fast.sources.journal import files as journal_files
from pbs_fast.sources.journal import source as journal
from pbs_fast.sources.journal.source import JournalSource
from pbs_fast.sources.journal.spec import parse_journal
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.protocol import Notice, Past, SourceOptions, Start
from sources.journals import Journald, fields, message, program, store

pytestmark = pytest.mark.system

NOW = time.time()
TAGS = ("dovecot", "imapd")


def messages(pieces: list[Piece]) -> list[str]:
    """The messages of the lines; the offsets must be those of a file of these lines."""
    text = b"".join(piece.data[piece.start : piece.stop] for piece in pieces).decode("utf-8", "backslashreplace")
    return [line.partition("]: ")[2] for line in text.splitlines()]


class Opened:
    """A source with what it said and all that came from it."""

    def __init__(self, spec: str, **source_options: object) -> None:
        self.notices: list[Notice] = []
        self.source = JournalSource(
            parse_journal(spec),
            SourceOptions(on_notice=self.notices.append, tags=TAGS, **source_options),  # type: ignore[arg-type]
        )
        self.pieces: list[Piece] = []
        self.past: Past | None = None

    @property
    def live(self) -> list[str]:
        return messages(self.pieces)

    def poll(self) -> list[str]:
        self.pieces += self.source.poll()
        return self.live

    def wait(self, number: int) -> list[str]:
        """Poll until so many lines came, and a moment longer, in which no more may come."""
        wait_for(f"{number} lines", lambda: len(self.poll()) >= number)
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            self.poll()
            time.sleep(0.02)
        assert len(self.live) == number
        return self.live

    def replay(self, since: float) -> list[str]:
        """The past to its end."""
        self.past = self.source.replay(since, lambda _line, _reference: None, time.time())
        found: list[Piece] = []
        end = time.monotonic() + 20
        while not self.past.done:
            assert time.monotonic() < end
            found += [one.piece for one in self.past.step()]
        return messages(found)

    def close(self) -> None:
        if self.past is not None:
            self.past.close()
        self.source.close()


@pytest.fixture
def opened() -> Iterator[Callable[..., Opened]]:
    made: list[Opened] = []

    def make(spec: str, **source_options: object) -> Opened:
        made.append(Opened(spec, **source_options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def place() -> Iterator[Path]:
    program("systemd-journal-remote")
    directory = private_directory("journal")
    yield directory / "journal"
    shutil.rmtree(directory)


def file(place: Path) -> Path:
    return place / "system.journal"


# -- files of systemd-journal-remote --------------------------------------------------------------------------------


def test_past_and_present_meet_without_gap_or_overlap(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), *(fields(f"old {n}", NOW - 5_000 + n) for n in range(5)))
    store(file(place), *(fields(f"past {n}", NOW - 500 + n) for n in range(50)))
    one = opened(f"directory={place}")
    one.source.open()
    store(file(place), fields("present 0", NOW))
    one.poll()
    store(file(place), fields("present 1", NOW + 1))
    assert one.replay(NOW - 600) == [f"past {n}" for n in range(50)]
    assert one.past is not None
    assert one.past.coverage.complete
    store(file(place), fields("present 2", NOW + 2))
    assert one.wait(3) == ["present 0", "present 1", "present 2"]
    assert one.source.counters == {"entries": 53}
    assert [piece.offset for piece in one.pieces] == sorted({piece.offset for piece in one.pieces})


def test_parts_of_lines_are_asked_for_in_past_and_present(place: Path, opened: Callable[..., Opened]) -> None:
    stdout = {"_TRANSPORT": "stdout", "_STREAM_ID": "a"}
    part = {**stdout, "_LINE_BREAK": "line-max"}
    store(file(place), fields("past part", NOW - 500, **part), fields("past end", NOW - 499, **stdout))
    store(file(place), fields("past", NOW - 498, **stdout), fields("open", NOW - 497, **part))
    one = opened(f"directory={place}")
    one.source.open()
    store(file(place), fields("its end", NOW, **stdout), fields("present", NOW + 1, **stdout))
    assert one.replay(NOW - 600) == ["past"]
    assert one.wait(1) == ["present"]
    assert one.source.counters == {"entries": 6, "refused_part": 4}


def test_what_stands_before_the_first_entry_is_known(place: Path, opened: Callable[..., Opened]) -> None:
    """A server may have cut a record right there, and what comes next continues it."""
    store(
        file(place), fields("first", NOW - 500), fields("second", NOW - 499), fields("forged", NOW - 498, _UID="1000")
    )
    one = opened(f"directory={place}")
    one.source.open()
    before = one.source.before()
    assert before is not None
    assert messages([Piece(before.data, before.start, len(before.data), 0, 0)]) == ["first", "second"]
    assert one.source.counters == {}
    empty = opened(f"directory={place.parent / 'none'}")
    assert empty.source.before() is None


def test_a_journal_that_begins_within_the_window_does_not_cover(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("a", NOW - 500))
    one = opened(f"directory={place}")
    one.source.open()
    assert one.replay(NOW - 600) == ["a"]
    assert one.past is not None
    assert not one.past.coverage.complete
    assert "does not cover the last" in one.past.coverage.reason


def test_coverage_counts_entries_of_anybody_and_the_past_none_but_the_windows(
    place: Path, opened: Callable[..., Opened]
) -> None:
    store(file(place), fields("cron", NOW - 700, _SYSTEMD_UNIT="cron.service", SYSLOG_IDENTIFIER="cron"))
    store(file(place), fields("ours", NOW - 500))
    one = opened(f"directory={place}")
    one.source.open()
    assert one.replay(NOW - 600) == ["ours"]
    assert one.past is not None
    assert one.past.coverage.complete
    assert one.source.counters == {"entries": 1}  # what no server wrote is not even read


def test_nothing_since_the_window_began_is_covered(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("long ago", NOW - 9_000))
    one = opened(f"directory={place}")
    one.source.open()
    assert one.replay(NOW - 600) == []
    assert one.past is not None
    assert one.past.coverage.complete
    store(file(place), fields("now", NOW))
    assert one.wait(1) == ["now"]


def test_dropped_messages_break_the_coverage(place: Path, opened: Callable[..., Opened]) -> None:
    store(
        file(place),
        fields("ours", NOW - 700),
        fields(
            "Suppressed 5 messages from dovecot.service",
            NOW - 400,
            MESSAGE_ID="a596d6fe7bfa4994828e72309e95d61e",
            _TRANSPORT="driver",
            _SYSTEMD_UNIT="systemd-journald.service",
            SYSLOG_IDENTIFIER="systemd-journald",
        ),
        fields("ours too", NOW - 300),
    )
    one = opened(f"directory={place}")
    one.source.open()
    assert one.replay(NOW - 600) == ["ours", "ours too"]
    assert one.past is not None
    assert not one.past.coverage.complete
    assert one.source.counters["dropped_by_journald"] == 5


def test_the_newest_entry_gone_breaks_the_coverage(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("older", NOW - 700), fields("newest", NOW - 300))
    one = opened(f"directory={place}")
    one.source.open()
    file(place).unlink()
    store(file(place), fields("other", NOW - 700), fields("others", NOW - 200))
    one.replay(NOW - 600)
    assert one.past is not None
    assert not one.past.coverage.complete
    assert "was removed" in one.past.coverage.reason


def test_hostile_messages_and_forged_fields(place: Path, opened: Callable[..., Opened]) -> None:
    fake = message("203.0.113.66")
    store(
        file(place),
        fields("imap-login: Aborted login: user=<a>\n" + fake),
        fields(f"\n{fake}"),
        fields(b"nul \x00 and \xff\xfe"),
        fields("x" * 1_000_000),
        fields("forged by name", _SYSTEMD_UNIT="user@1000.service", _UID="1000"),
        fields("forged in a session", _SYSTEMD_UNIT="session-7.scope", _UID="1000"),
        fields("forged by a mail user", _UID="5000"),
        fields("audit", _TRANSPORT="audit"),
        fields("in a container", CONTAINER_NAME="mail"),
        fields("two tags", SYSLOG_IDENTIFIER="a b"),
        fields("honest"),
    )
    one = opened(f"directory={place}", start="begin")
    one.source.open()
    wait_for("all", lambda: "honest" in one.poll())
    assert one.live == [
        f"imap-login: Aborted login: user=<a>#012{fake}",
        f"#012{fake}",
        "nul #000 and \\xff\\xfe",
        "honest",
    ]
    assert one.source.counters == {
        "entries": 11,
        "too_long": 1,
        "refused_unit": 2,
        "refused_uid": 1,
        "refused_transport": 1,
        "refused_container": 1,
        "refused_malformed": 1,
    }
    assert len([notice for notice in one.notices if notice.kind == "refused"]) == 5


def test_a_restart_of_journalctl_loses_and_doubles_nothing(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("before", NOW))
    one = opened(f"directory={place}")
    one.source.open()
    for n in range(4):
        one.poll()
        store(file(place), fields(f"{n}", NOW + n))
        wait_for(f"line {n}", lambda n=n: len(one.poll()) > n)  # type: ignore[misc]
        child = one.source._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        if n % 2:
            store(file(place), fields(f"{n} while away", NOW + n + 0.5))
            wait_for("the restart", lambda n=n: f"{n} while away" in one.poll())  # type: ignore[misc]
            one.pieces = [piece for piece in one.pieces if f"{n} while away".encode() not in piece.data]
    assert one.wait(4) == ["0", "1", "2", "3"]
    assert one.source.counters["restarts"] == 4
    assert one.source.counters["lost"] == 0
    assert one.source.counters["entries"] == 6
    assert "ended (status -9)" in one.notices[0].text


def test_an_entry_that_was_vacuumed_away_is_said(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("a", NOW))
    one = opened(f"directory={place}", start="begin")
    one.source.open()
    one.wait(1)
    one.source.close()
    file(place).unlink()
    store(file(place), fields("b", NOW + 5))
    assert one.wait(2) == ["a", "b"]
    assert one.source.counters["lost"] == 1
    assert "was removed" in one.notices[-1].text


def test_files_that_come_later_are_waited_for(place: Path, opened: Callable[..., Opened]) -> None:
    one = opened(f"directory={place}")
    one.source.open()
    assert one.source.trouble is not None
    assert one.source.trouble.kind == "missing"
    assert one.replay(NOW) == []
    assert one.past is not None
    assert not one.past.coverage.complete
    assert one.poll() == []
    assert 0 < one.source.timeout() <= 2
    store(file(place), fields("a"))
    assert one.wait(1) == ["a"]
    assert [notice.kind for notice in one.notices] == ["missing", "found"]


def test_named_files_are_followed_over_a_rotation(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("a", NOW))
    one = opened(f"file={file(place)}")
    one.source.open()
    one.poll()
    store(file(place), fields("b", NOW + 1))
    one.wait(1)
    file(place).rename(place / "system@1.journal")
    store(file(place), fields("c", NOW + 2))
    assert one.wait(2) == ["b", "c"]


def test_from_the_beginning_and_on(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), *(fields(f"{n}", NOW - 9_000 + n) for n in range(2_000)))
    one = opened(f"directory={place}", start="begin")
    one.source.open()
    assert one.source.pending
    wait_for("the end", lambda: one.poll() is not None and not one.source.pending)
    assert one.live == [f"{n}" for n in range(2_000)]
    store(file(place), fields("next"))
    assert one.wait(2_001)[-1] == "next"


def test_units_by_pattern_need_no_index(place: Path, opened: Callable[..., Opened]) -> None:
    store(
        file(place), fields("a", _SYSTEMD_UNIT="dovecot@b.service"), fields("b"), fields("c", _SYSTEMD_UNIT="x.service")
    )
    one = opened(f"directory={place},unit=dovecot@*", start="begin")
    one.source.open()
    assert one.wait(1) == ["a"]
    assert one.source.counters == {"entries": 3, "refused_unit": 2}


def test_several_boots_and_machines_in_one_directory(place: Path, opened: Callable[..., Opened]) -> None:
    """journalctl --follow alone keeps to one boot."""
    one, two, three = ({"_BOOT_ID": f"{n}" * 32, "_MACHINE_ID": f"{n}" * 32} for n in (1, 2, 3))
    store(place / "remote-one.journal", fields("past one", NOW - 50, **one))
    store(place / "remote-two.journal", fields("past two", NOW - 40, **two))
    reader = opened(f"directory={place}")
    reader.source.open()
    assert reader.replay(NOW - 600) == ["past one", "past two"]
    reader.poll()
    for n in range(3):
        store(place / "remote-one.journal", fields(f"one {n}", NOW + 2 * n, **one))
        store(place / "remote-two.journal", fields(f"two {n}", NOW + 2 * n + 1, **two))
    store(place / "remote-three.journal", fields("three", NOW + 9, **three))
    assert reader.wait(7) == ["one 0", "two 0", "one 1", "two 1", "one 2", "two 2", "three"]
    assert reader.source.counters == {"entries": 9}


@pytest.fixture
def places(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The journal files of this machine, kept and not, in directories of our own."""
    monkeypatch.setattr(journal_files, "PLACES", (f"{place}/var", f"{place}/run"))
    machine = journal_files.machine_id() or pytest.skip("this machine has no id")
    return place / "var" / machine / "system.journal", place / "run" / machine / "system.journal"


def test_this_machines_journal_over_a_boot_and_a_move(places: tuple[Path, Path], opened: Callable[..., Opened]) -> None:
    """What journald does while a machine boots: it writes to /run, then copies that to /var and goes on there."""
    kept, early = places
    own = {"_MACHINE_ID": kept.parent.name}
    store(kept, fields("last boot", NOW - 900, **own))
    kept_at = NOW - 800
    os.utime(kept, (kept_at, kept_at))
    booting = {**own, "_BOOT_ID": "b" * 32}
    first = fields("booting", NOW - 5, **booting)
    store(early, first)
    one = opened("")
    one.source.open()
    assert one.replay(NOW - 1_800) == ["booting"]
    assert one.past is not None
    assert not one.past.coverage.complete
    one.poll()
    second = fields("booted", NOW, **booting)
    store(early, second)
    one.wait(1)
    store(kept, first, second)
    shutil.rmtree(early.parent)
    store(kept, fields("on", NOW + 1, **booting), fields("forged", NOW + 1, **{**booting, "_MACHINE_ID": "e" * 32}))
    assert one.wait(2) == ["booted", "on"]
    assert one.source.counters["lost"] == 0
    assert one.source.counters["refused_machine"] == 1
    other = opened("")
    other.source.open()
    assert other.replay(NOW - 1_800) == ["last boot", "booting", "booted", "on"]


def test_a_container_beside_this_machine_is_not_even_read(
    places: tuple[Path, Path], opened: Callable[..., Opened]
) -> None:
    """Its root writes trusted fields as he likes."""
    kept, _ = places
    store(kept, fields("own", NOW - 5, _MACHINE_ID=kept.parent.name))
    one = opened("")
    one.source.open()
    one.poll()
    store(kept.parent.parent / ("c" * 32) / "system.journal", fields("forged", NOW, _MACHINE_ID=kept.parent.name))
    store(kept, fields("own too", NOW, _MACHINE_ID=kept.parent.name))
    assert one.wait(1) == ["own too"]
    assert one.source.counters == {"entries": 1}


# -- what cannot be read --------------------------------------------------------------------------------------------


def test_no_journalctl_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match=r"read with journalctl, which cannot be run .* --watchlog=FILE") as caught:
        Opened("").source.open()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", ["replay", "begin"])
def test_a_journalctl_that_always_fails_is_said_once_and_tried_ever_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Start
) -> None:
    (tmp_path / "journalctl").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    (tmp_path / "journalctl").chmod(0o755)
    (tmp_path / "a.journal").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    now = [1_000.0]
    said: list[Notice] = []
    source = JournalSource(
        parse_journal(f"directory={tmp_path}"), SourceOptions(start, on_notice=said.append), clock=lambda: now[0]
    )
    with pytest.raises(SourceError, match="status 3: broken"):
        source.open()
    pauses = []
    for _ in range(12):
        before = source.counters["restarts"]
        wait_for("its end", lambda before=before: source.poll() == [] and source.counters["restarts"] > before)  # type: ignore[misc]
        pauses.append(source.timeout())
        now[0] += source.timeout()
    source.close()
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(journal.SHORTEST)
    assert pauses[-1] == pytest.approx(journal.LONGEST)
    assert [notice.text.partition(": ")[2] for notice in said] == [
        "journalctl ended (status 3, broken); starting it again"
    ]


def test_output_that_is_no_export_restarts_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "journalctl").write_text(
        "#!/bin/sh\nprintf 'MESSAGE\\n\\377\\377\\377\\377\\377\\377\\377\\377\\n\\n'\nsleep 9\n"
    )
    (tmp_path / "journalctl").chmod(0o755)
    (tmp_path / "a.journal").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    said: list[Notice] = []
    source = JournalSource(parse_journal(f"directory={tmp_path}"), SourceOptions(on_notice=said.append))
    wait_for("the fault", lambda: source.poll() == [] and said)
    source.close()
    assert "is damaged" in said[0].text


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives its rights up for a moment")
def test_files_that_we_may_not_read_are_one_line(place: Path, opened: Callable[..., Opened]) -> None:
    store(file(place), fields("a"))
    file(place).chmod(0o600)
    os.seteuid(65_534)
    try:
        with pytest.raises(SourceError, match=r"cannot read .*system\.journal.*systemd-journal") as caught:
            opened(f"directory={place}").source.open()
    finally:
        os.seteuid(0)
    assert "\n" not in str(caught.value)


# -- a journald of our own ------------------------------------------------------------------------------------------


@pytest.fixture
def journald() -> Iterator[Journald]:
    running = Journald(f"pbs{os.getpid()}")
    yield running
    running.close()


def test_journald_itself_says_who_wrote(journald: Journald, opened: Callable[..., Opened]) -> None:
    one = opened(f"directory={journald.directory}")
    one.source.open()
    one.poll()
    journald.log("honest one", "honest two")
    journald.log("from a login session", unit=None, uid=1000)
    journald.log("a user's own service", unit="user@1000.service", uid=1000)
    journald.log("a mail user's program in the unit", uid=1000)
    journald.log("another service", unit="cron.service")
    journald.log("honest three")
    assert one.wait(3) == ["honest one", "honest two", "honest three"]
    assert one.source.counters["refused_unit"] == 3
    assert one.source.counters["refused_uid"] == 1
    assert one.source.counters["entries"] == 7


def test_rotation_vacuum_and_restart_of_journald(journald: Journald, opened: Callable[..., Opened]) -> None:
    journald.log("before")
    one = opened(f"directory={journald.directory}")
    one.source.open()
    one.poll()
    written: list[str] = []
    for n in range(6):
        texts = [f"{n}.{k}" for k in range(20)]
        journald.log(*texts)
        written += texts
        if n == 3:
            journald.stop()
            journald.start()
        else:
            journald.rotate()
        if n == 4:
            one.wait(len(written))
            journald.vacuum()
    assert one.wait(len(written)) == written
    assert one.source.counters["restarts"] == 0
    other = opened(f"directory={journald.directory}")
    other.source.open()
    assert other.replay(time.time() - 600) == written[-20:]
    assert other.past is not None
    assert not other.past.coverage.complete


def test_files_of_the_machine_are_found_by_its_id(places: tuple[Path, Path]) -> None:
    spec = parse_journal("")
    _, early = places
    assert "there is no journal of this machine" in str(journal_files.missing(spec))
    assert journal_files.options(spec) == []
    early.parent.mkdir(parents=True)
    for name in ("system.journal", "system@a.journal", "user-1000.journal"):
        (early.parent / name).touch()
    assert [Path(name).name for name in journal_files.journal_files(spec)] == ["system.journal", "system@a.journal"]
    assert journal_files.missing(spec) is None
    assert journal_files.options(spec) == [f"--directory={early.parent}"]

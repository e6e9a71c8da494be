"""Several logs at once: each has its state and its share, new ones are taken up by pattern, gone ones are let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from daemon.running import Site, append, lines_with, login, noise
from pbs_fast.config import Config
from pbs_fast.daemon.follower import Follower
from pbs_fast.daemon.log_set import FORGET_AFTER, RESCAN, LogSet
from pbs_fast.events import Grant
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching import load_backend
from pbs_fast.matching.zones import zone_table
from pbs_fast.sources.file import source as presence
from pbs_fast.sources.protocol import BUDGET, Start
from pbs_fast.sources.wakeup import Hints
from pbs_fast.sources.watched import Watched
from pbs_fast.tables import open_table
from support.own_log import heard

NOW = 1_795_000_000


class Group:
    """A log_set on a configuration's logs, with a clock that is set."""

    def __init__(self, *specs: str) -> None:
        self.now = 0.0
        core = load_backend("auto")
        matcher = core.Matcher(load_catalogue(), zone_table(None))
        watched = Watched(Config(watchlog=specs))

        def follow(path: str, start: Start) -> Follower:
            follower = Follower(
                path,
                core,
                matcher,
                grace=1800,
                start=start,
                hints=Hints(enabled=False),
            )
            follower.source.open()
            return follower

        def newcomers(paths: Sequence[str]) -> list[Follower]:
            return [follow(path, "begin") for path in paths]

        followers = [follow(path, "replay") for path in watched.paths]
        self.log_set = LogSet(followers, watched, newcomers, lambda: self.now)

    def names(self) -> list[str]:
        return [Path(follower.path).name for follower in self.log_set]

    def turn(self) -> list[str]:
        """One scan and one poll of each log; the addresses that logged in."""
        self.log_set.scan()
        return [ip for batch in self.log_set.poll(NOW) for ip in batch.ip]


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Group]]:
    monkeypatch.setattr(presence, "MISSING_AFTER", 0.0)  # real seconds, which a rotation may take
    made: list[Group] = []

    def make(*specs: str) -> Group:
        made.append(Group(*specs))
        return made[-1]

    yield make
    for each in made:
        each.log_set.close()


def test_logs_come_and_go_and_each_keeps_its_state(tmp_path: Path, group: Callable[..., Group]) -> None:
    a, b, c, named = (tmp_path / name for name in ("a.log", "b.log", "c.log", "named"))
    for log in (a, b):
        append(log, login("10.0.0.1", at=NOW))
    logs = group(f"{tmp_path}/*.log", str(named))
    assert logs.turn() == [], "what was there before is the replay's"
    append(a, login("10.0.1.1", at=NOW))
    append(c, login("10.0.1.2", at=NOW))
    append(named, login("10.0.1.3", at=NOW))
    assert logs.turn() == ["10.0.1.1", "10.0.1.3"]
    logs.now = RESCAN
    assert logs.turn() == ["10.0.1.2"], "one that came by the pattern is read from its first line"
    a.rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log.1", login("10.0.2.1", at=NOW))
    append(a, login("10.0.2.2", at=NOW))
    b.unlink()
    named.unlink()
    logs.now += RESCAN
    assert logs.turn() == ["10.0.2.1", "10.0.2.2"]
    logs.now += RESCAN
    logs.turn()
    logs.now += FORGET_AFTER - 1
    logs.turn()
    assert logs.names() == ["a.log", "b.log", "named", "c.log"]
    logs.now += RESCAN
    with heard() as found:
        logs.turn()
    assert logs.names() == ["a.log", "named", "c.log"], "b.log is gone for an hour; a log with a name is waited for"
    assert found.lines == [f"{b} has been missing for 1 h; no longer waiting for it"]
    append(b, login("10.0.3.1", at=NOW))
    logs.now += RESCAN
    assert logs.turn() == ["10.0.3.1"]
    assert logs.log_set.counters["lines"] == 6, "those of the log that was let go count too"


def test_one_that_comes_back_in_time_is_not_let_go(tmp_path: Path, group: Callable[..., Group]) -> None:
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.touch()
    b.touch()
    logs = group(f"{tmp_path}/*.log")
    for _ in range(3):
        b.unlink()
        logs.now += RESCAN
        logs.turn()
        logs.now += FORGET_AFTER - 2 * RESCAN
        logs.turn()
        b.touch()
        logs.now += RESCAN
        logs.turn()
    assert logs.names() == ["a.log", "b.log"]


def test_a_pattern_without_logs_is_no_end(tmp_path: Path, group: Callable[..., Group]) -> None:
    """A daemon whose logs are all gone for an hour waits for new ones."""
    a = tmp_path / "a.log"
    a.touch()
    logs = group(f"{tmp_path}/*.log")
    a.unlink()
    for _ in range(3):
        logs.now += FORGET_AFTER
        logs.turn()
    assert logs.names() == []
    assert not logs.log_set.ended
    assert logs.log_set.timeout() > 30
    append(a, login("10.0.0.1", at=NOW))
    logs.now += RESCAN
    assert logs.turn() == ["10.0.0.1"]


def test_a_flood_in_one_log_does_not_keep_another_waiting(tmp_path: Path, group: Callable[..., Group]) -> None:
    logs = group(f"{tmp_path}/flood", *(f"{tmp_path}/quiet{n}" for n in range(9)))
    flood, lines = noise(NOW, "x[1]: " + "y" * 170), 60_000
    append(tmp_path / "flood", *([flood] * lines))
    for n in range(9):
        append(tmp_path / f"quiet{n}", login(f"10.0.0.{n}", at=NOW))
    assert logs.turn() == [f"10.0.0.{n}" for n in range(9)]
    # A share is a tenth of BUDGET, but a read takes a quarter of it at the least.
    assert logs.log_set.counters["lines"] <= 9 + BUDGET / 4 / len(flood)
    assert logs.log_set.timeout() == 0, "there is more"
    turns = 1
    while logs.log_set.timeout() == 0:
        assert logs.turn() == []
        turns += 1
    assert logs.log_set.counters["lines"] == lines + 9
    assert turns > 40


def test_each_log_answers_for_its_own_window(site: Site) -> None:
    """Rows that no log explains go only when every log was read back far enough; else it is said which one was not."""
    second = site.place / "second.log"
    table = open_table(site.spec)
    table.rebuild({"203.0.113.1": Grant(2_000_000_000, None, "", "new")})
    table.close()
    site.cover()
    append(second, login("203.0.113.2"))  # it begins within the window
    daemon = site.start(f"--watchlog={second}")
    assert site.holds("203.0.113.1", "203.0.113.2")
    (kept,) = lines_with(site.said(), "1 rows that no log explains are kept")
    assert str(second) in kept
    assert "mail.log" not in kept.replace(str(second), "")
    assert daemon.stop() == 0
    text = second.read_text()
    second.write_text(noise(time.time() - site.grace - 600) + "\n" + text)
    daemon = site.start(f"--watchlog={second}")
    assert site.holds("203.0.113.2"), "both cover the window now"
    assert daemon.stop() == 0

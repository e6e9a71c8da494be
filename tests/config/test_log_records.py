"""One way to report: what a record carries, what listens, and that many lines are one record."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from pathlib import Path

import pytest

from pbs_fast.daemon.explain import Explainer
from pbs_fast.events import Delta, Grant
from pbs_fast.guards import Refusal
from pbs_fast.log import handlers
from pbs_fast.log.handlers import listening, own_log
from pbs_fast.log.records import Lines, event, log_lines
from support.own_log import Heard, heard

log = logging.getLogger("pbs_fast.any")
PACKAGE = logging.getLogger("pbs_fast")
IPS = [f"192.0.2.{number}" for number in range(200)]


def test_a_record_says_which_event_it_is() -> None:
    with heard() as found:
        log.info("ready: 2 addresses", extra=event("ready"))
        log.warning("100 % full", extra=event("table_fails", ["hash:/a"], "disk full"))
        log.warning("mind this")
        log.info("a line")
    ready, fails, *plain = found.records
    assert (ready.event, ready.rows, ready.why) == ("ready", (), "")  # type: ignore[attr-defined]
    assert (fails.event, fails.rows, fails.why) == ("table_fails", ["hash:/a"], "disk full")  # type: ignore[attr-defined]
    assert [hasattr(record, "event") for record in plain] == [False, False]
    assert found.lines[1] == "100 % full"


def test_each_change_of_a_row_is_an_event() -> None:
    grant = Grant(1, "ann", "dovecot", "new", "hub")
    explain = Explainer(lambda second: second)
    with heard(logging.DEBUG) as found:
        explain.changed(Delta(set={"a": grant, "b": grant, "c": grant._replace(why="renewed"), "d": grant}))
        explain.removed({"a": grant}, "expired")
        explain.removed({"b": grant}, "refused by the guard deny")
        explain.dropped(["c"], "stale")
        explain.refused([Refusal("d", "hosts", 1, None, "", 0, "log")])
    events = [vars(record) for record in found.records]
    assert [(each["event"], len(each["rows"]), each["why"]) for each in events] == [
        ("granted", 2, ""),
        ("renewed", 1, ""),
        ("granted", 1, ""),
        ("expired", 1, "expired"),
        ("revoked", 1, "refused by the guard deny"),
        ("removed", 1, "stale"),
        ("refused", 1, ""),
    ]
    assert [line.split()[:2] for line in found.lines[:4]] == [
        ["added", "a"],
        ["added", "b"],
        ["renewed", "ip=c"],
        ["added", "d"],
    ]


def test_many_lines_are_one_record_and_none_where_the_level_is_off(tmp_path: Path) -> None:
    made: list[str] = []

    def text(ip: str) -> str:
        made.append(ip)
        return f"added {ip}\n"

    path = tmp_path / "own.log"
    with own_log(str(path)), heard() as found:
        log_lines(log, logging.INFO, IPS, text, "granted")
        log_lines(log, logging.INFO, [], text, "granted")
        log_lines(log, logging.DEBUG, IPS, text, "renewed")
    assert len(found.records) == 1
    assert isinstance(found.records[0].msg, Lines)
    assert found.records[0].getMessage().split("\n")[::2] == [f"added {ip}" for ip in IPS]
    assert [line[16:] for line in path.read_text().splitlines()] == [f"added {ip}\\x0a" for ip in IPS]
    assert set(made) == set(IPS)
    made.clear()
    with own_log(None):
        log_lines(log, logging.INFO, IPS, text, "granted")
    assert made == []


def test_a_record_of_many_lines_has_what_every_record_has() -> None:
    with heard() as found:
        log.info("a line")
        log_lines(log, logging.INFO, IPS, str, "granted", "why")
    usual, ours = map(vars, found.records)
    assert ours.keys() == {*usual, "event", "rows", "why"}
    assert (ours["event"], ours["rows"], ours["why"]) == ("granted", IPS, "why")
    for name in ("name", "levelname", "levelno", "args", "exc_info", "stack_info", "threadName"):
        assert ours[name] == usual[name]
    assert 0 <= ours["created"] - usual["created"] < 60
    assert logging.Formatter("%(asctime)s %(name)s %(message)s").format(found.records[1]).endswith(IPS[-1])


def test_one_more_handler_has_more_records_made_and_the_log_the_same(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    more, errors = Heard(logging.DEBUG), Heard(logging.ERROR)
    with own_log(str(path)):
        log.debug("before")
        with listening(more), listening(errors):
            log.debug("meanwhile")
            log.info("both")
            log.error("all")
        assert not log.isEnabledFor(logging.DEBUG)
        log.info("after")
    assert [line[16:] for line in path.read_text().splitlines()] == ["both", "all", "after"]
    assert (more.lines, errors.lines) == (["meanwhile", "both", "all"], ["all"])


def test_when_it_ends_all_is_as_before(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with own_log(str(tmp_path / "own.log"), debug=True):
        assert (PACKAGE.level, PACKAGE.propagate) == (logging.DEBUG, False)
    assert (PACKAGE.level, PACKAGE.propagate) == (logging.NOTSET, True)
    with pytest.raises(ZeroDivisionError), own_log(None):
        raise ZeroDivisionError
    assert (PACKAGE.level, PACKAGE.propagate) == (logging.NOTSET, True)
    log.warning("to whom it concerns")
    assert "to whom it concerns" in caplog.text


def test_the_tee_has_warnings_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place = str(tmp_path / "dev-log")
    monkeypatch.setattr(handlers, "DEV_LOG", place)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as syslog:
        syslog.bind(place)
        syslog.setblocking(False)
        with own_log("-", ident="pop-before-smtp", tee=True):
            log.info("one")
            log.warning("two")
        assert syslog.recv(1000).decode().split("]: ")[1] == "two"
        with pytest.raises(BlockingIOError):
            syslog.recv(1000)
    assert [line[16:] for line in capfd.readouterr().out.splitlines()] == ["one", "two"]

"""`pbs-fast match`: what it prints, letter for letter, and what it does with bad input."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.terminals import shown
from pbs_fast.cli import main
from pbs_fast.match.render import breaks
from pbs_fast.matching import Backend

EXAMPLE = Path(__file__).parents[2] / "examples" / "hub.log"
PROGRAM = [sys.executable, "-m", "pbs_fast"]
LOGIN = (
    b"2026-11-21T09:00:41.9+01:00 mx dovecot: "
    b"imap-login: Login: user=<u>, rip=203.0.113.41, lip=192.0.2.1, session=<S>\n"
)
LOGOUT = b"2026-11-21T09:01:00Z mx dovecot: imap(u)<7><S>: Disconnected: Logged out in=1 out=2\n"
MISSED = b"2026-11-21T09:01:00Z mx dovecot: imap-login: Login: user=<u>, lip=192.0.2.1\n"
OTHER = b"2026-11-21T09:01:00Z mx postfix/qmgr[1]: removed\n"

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_of_each_kind_of_event(core: Backend, capfd: Output) -> None:
    Path("a.log").write_bytes(OTHER + LOGIN + OTHER + OTHER + LOGOUT + LOGOUT)
    assert main(["match", "--json", f"--core={core.name}", "a.log"]) == 0
    out, err = capfd.readouterr()
    assert out == (
        '{"file": "a.log", "line": 2, "event": "login", "ip": "203.0.113.41", "time": "2026-11-21T08:00:41Z",'
        ' "format": "dovecot", "user": "u"}\n'
        '{"file": "a.log", "line": 5, "event": "logout", "ip": "203.0.113.41", "time": "2026-11-21T09:01:00Z",'
        ' "format": "dovecot", "user": "u"}\n'
        '{"file": "a.log", "line": 6, "event": "logout", "ip": null, "time": "2026-11-21T09:01:00Z",'
        ' "format": "dovecot", "user": "u"}\n'
    )
    assert err == ""


def test_missed_lines_come_last_and_set_the_status(core: Backend, capfd: Output) -> None:
    Path("a.log").write_bytes(MISSED.replace(b"<u>", b"<\xff>") + LOGIN)
    Path("b.log").write_bytes(LOGIN + MISSED[:-1] + b"\r\n")
    assert main(["match", "--json", "--missed", f"--core={core.name}", "a.log", "b.log"]) == 3
    out, err = capfd.readouterr()
    found = records(out)
    text = MISSED[:-1].decode()
    assert [(each["file"], each["line"], each.get("event", "missed")) for each in found] == [
        ("a.log", 2, "login"),
        ("b.log", 1, "login"),
        ("a.log", 1, "missed"),
        ("b.log", 2, "missed"),
    ]
    assert found[2:] == [
        {"file": "a.log", "line": 1, "missed": "no-pattern", "text": text.replace("<u>", "<\ufffd>")},
        {"file": "b.log", "line": 2, "missed": "no-pattern", "text": text},
    ]
    assert list(found[2]) == ["file", "line", "missed", "text"]
    assert (out.isascii(), err) == (True, "")


def test_without_missed_lines_the_option_changes_nothing(capfd: Output) -> None:
    Path("a.log").write_bytes(LOGIN)
    assert main(["match", "--json", "--missed", "a.log"]) == 0
    assert len(records(capfd.readouterr().out)) == 1


NOTHING = bytes(range(256)) * 500
#: Two lines of each kind that is not understood, and what is said of them.
UNREAD = {
    "tags": (
        OTHER * 3 + OTHER.replace(b"postfix/qmgr", b"foo") * 2 + b"Mar  4 07:12:09 mx bar[1]: x\n"
        b"Mar  4 07:12:09 mx baz[1]: x\n",
        "none of 7 lines is understood: no line has the tag of a known server (most frequent: postfix/qmgr 3, foo 2,",
        OTHER[:-1].decode(),
        'add it with [formats.NAME] program = ["TAG"]',
    ),
    "layout": (
        b"web | 10:11:12 dovecot: imap-login: Login: user=<u>\nx 1\n",
        "log: 2 of 2 lines do not begin like a line of any known log",
        "web | 10:11:12 dovecot: imap-login: Login: user=<u>",
        "describe their timestamps with logtime",
    ),
    "timestamp": (
        LOGIN.partition(b" mx ")[2] * 2,
        "log: 2 of 2 lines have no timestamp",
        "dovecot: imap-login: Login: user=<u>, rip=203.0.113.41, lip=192.0.2.1, session=<S>",
        "through syslog, or follow the journal (--watchlog=journal:)",
    ),
    "wording": (
        LOGIN.replace(b"Login: ", b"They came in: ") * 2,
        "none of 2 lines is understood: lines of a known server (dovecot 2), but none is a login",
        LOGIN.replace(b"Login: ", b"They came in: ")[:-1].decode(),
        "write a [[format]] for it",
    ),
    "missed": (
        MISSED * 2 + LOGIN,
        "2 of 3 lines look like a login but match no pattern, more than are understood",
        MISSED[:-1].decode(),
        "--missed shows them",
    ),
    "empty": (b"\n" * 3, "none of 3 lines is understood: all lines are empty", "", "name the log of your POP"),
    "nothing": (b"", "there is no line to read", "", "name the log of your POP"),
    "one": (
        OTHER,
        "the only line is not understood: no line has the tag of a known server (most frequent: postfix/qmgr 1)",
        OTHER[:-1].decode(),
        'add it with [formats.NAME] program = ["TAG"]',
    ),
    "one-headless": (b"x\n", "log: the only line has no timestamp", "x", "through syslog"),
    "one-missed": (
        MISSED,
        "the only line looks like a login but matches no pattern, more than are understood",
        MISSED[:-1].decode(),
        "--missed shows them",
    ),
    "few": (
        b"Caused by: nothing\n" * 200 + LOGIN,
        "log: 200 of 201 lines have no timestamp",
        "Caused by: nothing",
        "follow the journal",
    ),
}


@pytest.mark.parametrize("kind", UNREAD)
@pytest.mark.parametrize("options", [("--core=python",), ("--core=rust",), ("--missed",), ("--json",)])
def test_lines_that_are_not_understood_are_never_passed_over(
    kind: str, options: tuple[str, ...], capfd: Output
) -> None:
    lines, what, sample, remedy = UNREAD[kind]
    Path("log").write_bytes(lines)
    assert main(["match", *options, "log"]) == 3
    err = capfd.readouterr().err
    assert f"pbs-fast match: {what}" in err
    assert remedy in err
    assert (f"\n  for example: {sample}" in err) if sample else "for example" not in err
    assert err.isprintable() or err.replace("\n", "").isprintable()


#: What is understood, whatever else the log holds.
READ = {
    "mostly-postfix": OTHER * 5_000 + LOGIN,
    "a-logout": LOGOUT,
    "a-trace-now-and-then": (b"Caused by: nothing\n" * 90 + LOGIN) * 3,
    "one-missed-of-two": LOGIN + MISSED,
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_understood_is_not_complained_of(kind: str, core: Backend, capfd: Output) -> None:
    Path("log").write_bytes(READ[kind])
    assert main(["match", "--json", f"--core={core.name}", "log"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("lines", [9, 10, 120])
def test_columns_are_straight(lines: int, capfd: Output) -> None:
    long = LOGIN.replace(b"203.0.113.41", b"2001:db8:1111:2222:3333:4444:5555:6666")
    Path("a.log").write_bytes(LOGIN * (lines - 1) + long)
    Path("b.log").write_bytes(MISSED * 3 + LOGIN)
    assert main(["match", "a.log"]) == 0
    shown = capfd.readouterr().out.splitlines()
    assert {line.index(" 2026-") for line in shown} == {len(f"a.log:{lines}") + 2 + 6 + 2 + 38 + 1}
    assert main(["match", "--missed", "a.log", "b.log"]) == 3
    shown = capfd.readouterr().out.splitlines()
    assert len(shown) == lines + 4
    assert {line[: len(f"a.log:{lines}  ")].endswith("  ") for line in shown} == {True}


def test_missed_counts_the_lines_of_no_known_log_or_server(capfd: Output) -> None:
    Path("log").write_bytes(LOGIN * 10 + OTHER * 3 + b"Caused by: nothing\n" * 2)
    assert main(["match", "--json", "--missed", "log"]) == 0
    assert capfd.readouterr().err == (
        "pbs-fast match: of 15 lines looked at: 2 that begin like those of no known log, 3 with the tag of no known "
        "server (postfix/qmgr 3)\n"
    )


def test_one_log_of_several_that_is_not_understood_is_named(capfd: Output) -> None:
    Path("a.log").write_bytes(LOGIN)
    Path("quiet.log").write_bytes(OTHER)
    for number in range(9):
        Path(f"b{number}").write_bytes(b"rubbish\n")
    assert main(["match", "--json", "a.log", "quiet.log"]) == 0
    assert capfd.readouterr().err == ""
    assert main(["match", "--json", "a.log", *(f"b{number}" for number in range(9))]) == 3
    err = capfd.readouterr().err
    assert err.count("the only line has no timestamp") == 5
    assert "the same holds for 4 more files" in err


def test_rubbish_is_not_understood_and_shown_safely(capfd: Output) -> None:
    Path("binary.log").write_bytes(NOTHING)
    assert main(["match", "--json", "binary.log"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 2
    assert err.replace("\n", "").isprintable()


def test_the_bundled_log_of_many_servers(core: Backend, capfd: Output) -> None:
    assert main(["match", "--json", "--missed", "--log-timezone=UTC", f"--core={core.name}", str(EXAMPLE)]) == 3
    found = records(capfd.readouterr().out)
    kinds = [each.get("event", each.get("missed")) for each in found]
    assert kinds.count("login") == 20
    assert kinds.count("logout") == 8
    assert kinds[28:] == ["no-pattern", "continuation", "no-pattern"]
    assert {each["format"] for each in found[:28]} >= {"courier-imap", "courier-pop3", "cyrus", "dovecot", "uw"}
    # The address of every attack in it.
    assert "192.0.2.66" not in {each.get("ip") for each in found}


def test_a_servers_own_log_keeps_its_layout(core: Backend, capfd: Output) -> None:
    # No host, no tag: the first line that is clearly Dovecot's decides, here behind a megabyte of something else.
    line = b"Nov 21 08:00:09 imap-login: Info: Login: user=<u>, method=PLAIN, rip=203.0.113.41, lip=192.0.2.1\n"
    rubbish = b"something without a timestamp\n" * 50_000
    Path("own.log").write_bytes(rubbish + line + LOGIN + rubbish + line)
    # Most of it is rubbish, which is said.
    assert main(["match", "--json", f"--core={core.name}", "own.log"]) == 3
    assert [each["line"] for each in records(capfd.readouterr().out)] == [50_001, 100_003]


def test_line_numbers_count_over_pieces_long_lines_and_files(core: Backend, capfd: Output) -> None:
    filler = OTHER * 40_000
    long = b"x" * 3_000_000 + b"\n"
    Path("a.log").write_bytes(filler + LOGIN + long + LOGIN + b"y" * 20_000 + b"\n" + filler + LOGIN[:-1])
    Path("b.log.gz").write_bytes(gzip.compress(OTHER + long + LOGIN))
    assert main(["match", "--json", f"--core={core.name}", "a.log", "b.log.gz"]) == 0
    found = records(capfd.readouterr().out)
    assert [(each["file"], each["line"]) for each in found] == [
        ("a.log", 40_001),
        ("a.log", 40_003),
        ("a.log", 80_005),
        ("b.log.gz", 3),
    ]


def test_the_year_is_that_of_the_last_change_or_of_now(capfd: Output) -> None:
    line = b"Nov 21 08:00:09 mx dovecot: imap-login: Login: user=<u>, rip=203.0.113.41, lip=192.0.2.1\n"
    Path("a.log").write_bytes(line)
    os.utime("a.log", (0, 1_600_000_000))  # 2020-09-13
    assert main(["match", "--json", "--log-timezone=UTC", "a.log"]) == 0
    assert main(["match", "--json", "--log-timezone=UTC", "--now=2023-11-20T12:00:00Z", "a.log"]) == 0
    assert main(["match", "--json", "--log-timezone=Europe/Berlin", "--now=2023-11-21", "a.log"]) == 0
    assert [each["time"] for each in records(capfd.readouterr().out)] == [
        "2019-11-21T08:00:09Z",
        "2023-11-21T08:00:09Z",
        "2023-11-21T07:00:09Z",
    ]


def test_each_fault_is_one_line_and_the_other_files_are_done(capfd: Output) -> None:
    os.mkdir("dir")  # noqa: PTH102
    whole = gzip.compress(b"".join(b"%d " % number + OTHER for number in range(9999)) + LOGIN)
    Path("cut.gz").write_bytes(gzip.compress(LOGIN) + whole[:-100])
    Path("a.log").write_bytes(LOGIN)
    assert main(["match", "--json", "none.log", "a.log", "dir", "cut.gz", "a.log"]) == 1
    out, err = capfd.readouterr()
    assert [each["file"] for each in records(out)] == ["a.log", "cut.gz", "a.log"]
    assert err.splitlines() == [
        "pbs-fast match: none.log: no such file; name an existing log, or - for standard input",
        "pbs-fast match: dir: is a directory; name the log files in it",
        "pbs-fast match: cut.gz: cut off within its gzip data; the lines before the cut were read,"
        " get the whole file for the rest",
    ]


def test_a_fault_matters_more_than_missed_lines(capfd: Output) -> None:
    Path("a.log").write_bytes(MISSED)
    assert main(["match", "--json", "--missed", "none.log", "a.log"]) == 1
    assert len(records(capfd.readouterr().out)) == 1


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--core=pyhton"], "pbs-fast match: --core=pyhton: no such core; did you mean python? (auto, rust, python)"),
        (
            ["--now=yesterday"],
            "pbs-fast match: --now=yesterday: not a valid time; write it like 2026-11-22T10:00:00Z",
        ),
        (["--misssed"], "pbs-fast match: no such option --misssed; nearest: --missed"),
    ],
)
def test_bad_use_is_one_line(args: list[str], line: str, capfd: Output) -> None:
    assert main(["match", *args, "a.log"]) == 2
    assert capfd.readouterr() == ("", line + "\n")


def test_an_unknown_zone_is_bad_use(capfd: Output) -> None:
    Path("a.log").write_bytes(LOGIN)
    assert main(["match", "--log-timezone=Europe/Berlim", "a.log"]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "Europe/Berlim" in err


def test_text_for_people_and_nothing_a_terminal_would_obey(capfd: Output) -> None:
    Path("a\x1b.log").write_bytes(
        LOGIN.replace(b"<u>", "<ü\u202e\x1b[2J>".encode()) + MISSED.replace(b"<u>", b"<\x07>")
    )
    assert main(["match", "--missed", "a\x1b.log"]) == 3
    out, _ = capfd.readouterr()
    assert out == (
        "a\\x1b.log:1  login   203.0.113.41     2026-11-21T08:00:41Z  dovecot        ü\\u202e\\x1b[2J\n"
        "a\\x1b.log:2  missed  no-pattern: " + MISSED[:-1].decode().replace("<u>", "<\\x07>") + "\n"
    )


def run(*args: str, data: bytes = b"", **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*PROGRAM, *args], input=data, capture_output=True, check=False, timeout=60, **more)


@pytest.mark.parametrize("args", [[], ["-"]])
def test_standard_input(args: list[str]) -> None:
    done = run("match", "--json", *args, data=OTHER + LOGIN)
    assert (done.returncode, done.stderr) == (0, b"")
    assert records(done.stdout.decode())[0] | {"time": ""} == {
        "file": "-",
        "line": 2,
        "event": "login",
        "ip": "203.0.113.41",
        "time": "",
        "format": "dovecot",
        "user": "u",
    }


def test_events_of_a_live_pipe_are_shown_at_once() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [*PROGRAM, "match", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for number in (1, 2):
            child.stdin.write(LOGIN)
            assert json.loads(child.stdout.readline())["line"] == number
        child.stdin.close()
        assert child.wait(60) == 0


def test_closed_standard_streams() -> None:
    Path("a.log").write_bytes(LOGIN)
    shell = f"'{sys.executable}' -m pbs_fast match"
    for redirection, status, error in (
        ("a.log >&-", 0, b""),
        ("a.log 2>&-", 0, b""),
        ("<&-", 1, b"pbs-fast match: -: cannot be read (Bad file descriptor)\n"),
    ):
        done = subprocess.run(["sh", "-c", f"{shell} {redirection}"], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (status, error)


def test_a_reader_that_goes_away_is_no_fault() -> None:
    Path("a.log").write_bytes(LOGIN * 20_000)
    with subprocess.Popen(
        [*PROGRAM, "match", "--json", "a.log"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == 141


@pytest.mark.parametrize("charset", ["C", "en_US.ISO-8859-1"])
def test_a_terminal_of_another_character_set(charset: str) -> None:
    Path("a.log").write_bytes(LOGIN.replace(b"<u>", "<\u65e5>".encode()))
    environment = os.environ | {"LC_ALL": charset, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = run("match", "a.log", env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"  \\u65e5\n")


def on_terminal(*args: str) -> str:
    """What the program writes where standard output and error are a terminal."""
    ours, its = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"TERM": "xterm"}
    with subprocess.Popen([*PROGRAM, *args], stdout=its, stderr=its, stdin=subprocess.DEVNULL, env=environment):
        os.close(its)
        text = shown(ours)
    return text.decode()


def test_a_terminal_gets_colours_and_a_summary() -> None:
    Path("a.log").write_bytes(LOGIN + LOGOUT + MISSED + OTHER)
    text = on_terminal("match", "a.log").replace("\r\n", "\n")
    assert "\x1b[32mlogin" in text
    assert text.endswith(
        "4 lines\n"
        "FORMAT   LOGINS  LOGOUTS  MISSED\n"
        "dovecot       1        1       1\n"
        "all           1        1       1\n"
        "--missed shows the missed lines\n"
    )


def test_a_terminal_shows_which_field_matched_where() -> None:
    Path("a.log").write_bytes(LOGIN)
    _, *lines = on_terminal("match", "--log-timezone=UTC", "a.log").splitlines()
    line = " ".join(lines[: lines.index("1 line")])
    colours = {
        name: f"\x1b[{code}m" for name, code in (("time", 36), ("host", 33), ("tag", 34), ("user", 35), ("ip", 32))
    }
    for name, text in (
        ("time", "2026-11-21T09:00:41"),
        ("host", "mx"),
        ("tag", "dovecot"),
        ("user", "u"),
        ("ip", "203.0.113.41"),
    ):
        assert colours[name] + text + "\x1b[0m" in line
    assert unpainted(line).split() == LOGIN.decode().split()


def unpainted(text: str) -> str:
    return re.sub("\x1b\\[[0-9;]*m", "", text)


@pytest.mark.parametrize("width", [60, 110, 400])
def test_a_terminal_gets_no_broken_words(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("a.log").write_bytes(LOGIN + MISSED)
    monkeypatch.setenv("COLUMNS", str(width))
    lines = unpainted(on_terminal("match", "--missed", "--log-timezone=UTC", "a.log")).splitlines()
    assert [line for line in lines if len(line) > width] == []
    words = " ".join(lines).split()
    assert [word for word in (LOGIN + MISSED).decode().split() if word not in words] == []
    # On a wide one it is what a pipe gets: one line for each event, each line of the log and each missed line.
    assert (len([line for line in lines if line.startswith("      ")]) > 0) == (width < 400)


@given(
    st.text("ab \u4e16", max_size=60).filter(lambda text: not text.startswith(" ")),
    st.integers(1, 20),
    st.integers(1, 20),
)
def test_lines_are_broken_between_words_only(text: str, first: int, rest: int) -> None:
    from rich.cells import cell_len

    text = text.rstrip()
    ranges = [*breaks(text, first, rest)]
    parts = [text[start:end] for start, end in ranges]
    assert " ".join(parts).split() == text.split()
    for number, part in enumerate(parts):
        assert cell_len(part) <= (rest if number else first) or " " not in part, parts
    # As few as possible: the next word would not have gone into the line before.
    for (start, _), (next_start, _), room in zip(ranges, ranges[1:], [first, *[rest] * len(parts)], strict=False):
        assert cell_len(text[start:next_start] + text[next_start:].split(" ")[0]) > room


def test_a_start_imports_no_table_and_no_daemon() -> None:
    code = (
        "import sys; from pbs_fast.cli import main; main(['match', '/dev/null']);"
        "print([name for name in sys.modules if name.startswith(('pbs_fast.tables', 'pbs_fast.daemon', 'rich', 'lmdb',"
        " 'concurrent', 'pbs_fast.ledger.ledger'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

"""The standard input source: pipe, FIFO, file, terminal; its end; what is bounded and thrown away; the daemon on it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.running import PATIENCE, PROGRAM, Site, login, pbs
from mta import private_directory, wait_for
from pbs_fast.errors import SourceError
from pbs_fast.sources.lines import MAX_LINE, TOO_LONG, Piece
from pbs_fast.sources.protocol import SourceOptions
from pbs_fast.sources.stdin import StdinSource

pytestmark = pytest.mark.system


def text(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data[piece.start : piece.stop] for piece in pieces)


def at_end(source: StdinSource) -> bool:
    return source.ended


def behind(source: StdinSource) -> bool:
    return source.behind


def drain(source: StdinSource) -> bytes:
    """All to the end."""
    found = b""
    while not source.ended:
        select.select(source.filenos(), [], [], PATIENCE)
        found += text(source.poll())
    return found


@pytest.fixture
def pipe() -> Iterator[tuple[StdinSource, int]]:
    read, write = os.pipe()
    yield StdinSource(SourceOptions(), read), write
    os.close(read)


def test_lines_come_as_they_are_written(pipe: tuple[StdinSource, int]) -> None:
    source, write = pipe
    source.open()
    assert source.poll() == []
    assert not at_end(source)
    os.write(write, b"one\ntw")
    assert text(source.poll()) == b"one\n"
    os.write(write, b"o\nthree\n")
    pieces = source.poll()
    assert [(piece.offset, piece.end) for piece in pieces] == [(4, 14)]
    assert text(pieces) == b"two\nthree\n"
    assert not at_end(source)
    os.close(write)
    assert source.poll() == []
    assert at_end(source)
    assert source.filenos() == []
    assert source.counters["partial_lost"] == 0


def test_an_unfinished_last_line_is_thrown_away(pipe: tuple[StdinSource, int]) -> None:
    source, write = pipe
    os.write(write, b"whole\nrip=203.0.113.1")
    os.close(write)
    assert drain(source) == b"whole\n"
    assert source.counters["partial_lost"] == 1


def test_a_line_of_any_length_takes_bounded_memory(pipe: tuple[StdinSource, int]) -> None:
    source, write = pipe
    child = os.fork()
    if child == 0:
        for _ in range(64):
            os.write(write, b"x" * 65_536)
        os.write(write, b"\nshort\n")
        os._exit(0)
    os.close(write)
    largest = 0
    found: list[Piece] = []
    while not source.ended:
        select.select(source.filenos(), [], [], PATIENCE)
        found += source.poll()
        largest = max(largest, len(source._rest))
    os.waitpid(child, 0)
    assert text(found) == b"x" * TOO_LONG + b"short\n"
    assert largest <= MAX_LINE + 65_536


def test_a_budget_is_kept_and_the_rest_is_said_to_be_there(pipe: tuple[StdinSource, int]) -> None:
    source, write = pipe
    os.write(write, b"line\n" * 12_000)
    assert source.poll(1)
    assert not behind(source)  # one read of a pipe takes it all
    os.write(write, b"a\n" * 32_768)
    os.close(write)
    assert source.poll(65_536)
    assert behind(source)
    assert source.timeout() == 0
    assert source.poll() == []
    assert at_end(source)


@given(parts=st.lists(st.text("ab\n", max_size=12).map(str.encode), max_size=8))
def test_the_lines_are_those_that_were_written(parts: list[bytes], share: Callable[[object], None]) -> None:
    read, write = os.pipe()
    try:
        source = StdinSource(SourceOptions(), read)
        found = b""
        for part in parts:
            os.write(write, part)
            found += text(source.poll())
        os.close(write)
        found += drain(source)
    finally:
        os.close(read)
    written = b"".join(parts)
    assert found == written[: written.rfind(b"\n") + 1]
    share(b"\n" in written)


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\nb\nc")
    fd = os.open(tmp_path / "log", os.O_RDONLY)
    source = StdinSource(SourceOptions(), fd)
    source.open()
    assert drain(source) == b"a\nb\n"
    assert source.counters["partial_lost"] == 1
    os.close(fd)


def test_a_fifo_ends_with_its_last_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    read = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    write = os.open(tmp_path / "fifo", os.O_WRONLY)
    source = StdinSource(SourceOptions(), read)
    os.write(write, b"a\n")
    assert text(source.poll()) == b"a\n"
    assert not at_end(source)
    os.close(write)
    assert drain(source) == b""
    os.close(read)


def test_a_terminal_ends_with_control_d_and_stays_blocking() -> None:
    master, slave = pty.openpty()
    source = StdinSource(SourceOptions(), slave)
    source.open()
    os.write(master, b"typed\n")
    assert text(source.poll()) == b"typed\n"
    assert source.poll() == []  # without waiting
    assert os.get_blocking(slave)
    os.write(master, b"\x04")
    assert drain(source) == b""
    os.close(slave)
    os.close(master)


def test_a_terminal_that_hangs_up_is_an_end_that_is_said() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    said: list[str] = []
    source = StdinSource(SourceOptions(on_notice=lambda notice: said.append(notice.text)), slave)
    os.close(master)
    assert drain(source) == b""
    assert source.counters["read_errors"] == len(said)
    os.close(slave)


def test_a_closed_descriptor_and_a_directory_are_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(SourceError, match="is a directory"):
        StdinSource(SourceOptions(), fd).open()
    os.close(fd)
    with pytest.raises(SourceError, match="is closed"):
        StdinSource(SourceOptions(), fd).open()


def test_it_never_covers() -> None:
    past = StdinSource(SourceOptions(), 0).replay(0.0, lambda _line, _reference: 0, 1.0)
    assert past.done
    assert not past.coverage.complete
    assert "standard input" in past.coverage.reason


# -- the daemon -----------------------------------------------------------------------------------------------------

A, B = "203.0.113.5", "2001:db8::7"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site(private_directory("stdin"))
    yield site
    site.close()
    shutil.rmtree(site.place)


def arguments(site: Site, *more: str) -> list[str]:
    return [*(each for each in site.arguments(*more) if not each.startswith("--watchlog")), "--watchlog=-"]


def test_the_daemon_grants_at_once_and_ends_with_its_input(site: Site) -> None:
    process = subprocess.Popen([PROGRAM, "run", *arguments(site)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    site.wait_said("ready:")
    process.stdin.write(f"{login(A)}\n".encode())
    process.stdin.flush()
    site.wait_rows(A)
    process.stdin.write(f"{login(B)}\n{login('203.0.113.9')}".encode())
    process.stdin.close()
    assert process.wait(PATIENCE) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert site.rows() == sorted([A, B])  # what was not ended by a newline is no line, and the rows stay
    assert "log_partial_lost=1" in site.said()
    assert "lines=2" in site.said()


def test_rows_that_stood_are_kept_for_a_grace(site: Site) -> None:
    assert pbs("run", *arguments(site), input=f"{login(A)}\n").returncode == 0
    assert pbs("run", *arguments(site), input="").returncode == 0
    assert site.rows() == [A]
    assert "standard input has no past" in site.said()


def test_reprocess_reads_to_the_end_of_the_input(site: Site) -> None:
    with subprocess.Popen(
        [PROGRAM, "run", *arguments(site, "--reprocess", "--once")], stdin=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(f"{login(A)}\n".encode())
        process.stdin.flush()
        wait_for("the first line", lambda: f"added {A}" in site.said())
        assert "reached end" not in site.said()
        process.stdin.write(f"{login(B)}\n".encode())
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
    assert site.rows() == sorted([A, B])
    assert "reached end of log file" in site.said()


def test_reprocessed_input_covers_nothing(site: Site) -> None:
    """However far back it begins: a row that it does not explain stays for a grace."""
    assert pbs("run", *arguments(site), input=f"{login(A)}\n").returncode == 0
    old = login(B, at=time.time() - 2 * site.grace)
    assert pbs("run", *arguments(site, "--reprocess", "--once"), input=f"{old}\n").returncode == 0
    assert site.rows() == [A]


def test_a_file_as_input_and_a_signal(site: Site) -> None:
    (site.place / "log").write_text(f"{login(A)}\n")
    with (site.place / "log").open() as file:
        done = subprocess.run([PROGRAM, "run", *arguments(site)], stdin=file, timeout=60, check=False)
    assert done.returncode == 0
    assert site.rows() == [A]
    process = subprocess.Popen([PROGRAM, "run", *arguments(site)], stdin=subprocess.PIPE)
    wait_for("readiness", lambda: site.said().count("ready:") == 2)
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert process.stdin is not None
    process.stdin.close()
    assert site.rows() == [A]


@pytest.mark.parametrize(
    ("command", "status", "words"),
    [
        (["--daemon=PID"], 2, "--watchlog=- and --daemon do not go together"),
        ([], 1, "standard input is closed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(site: Site, command: list[str], status: int, words: str) -> None:
    command = [each.replace("PID", str(site.place / "pid")) for each in command]
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "pbs_fast", "run", *arguments(site, *command)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert words in done.stderr
    assert done.stderr.count("\n") == 1

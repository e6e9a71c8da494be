"""`pbs-fast bench` for people: the table, the bar on a terminal, the last sentences, pictures."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from cli.terminals import shown
from mta import require_library
from pbs_fast.cli import main
from pbs_fast.replay.progress import few

EXAMPLE = Path(__file__).parents[2] / "examples" / "hub.log"

Output = pytest.CaptureFixture[str]


def test_a_table_for_people(capfd: Output) -> None:
    assert main(["bench", "--core=both", "--log-timezone=UTC", str(EXAMPLE)]) == 0
    out, err = capfd.readouterr()
    table = out[: out.index("\n\n")].splitlines()
    rows = {name: figures for name, *figures in (re.split(" {2,}", line) for line in table)}
    assert rows["lines"] == ["59", "59"]
    assert rows["core"] == ["rust", "python"]
    assert rows["grants"] == ["18", "18"]
    assert [len(digest) for digest in rows["digest"]] == [64]
    assert max(map(len, table)) <= 80
    assert set(rows) >= {"seconds", "lines/s", "MB/s", "scan (s)", "table (s)", "peak memory (MB)"}
    assert err == ""


def on_terminal(*args: str, stdin: bytes | None = None, name: str = "bench") -> tuple[bytes, bytes]:
    """Standard output, and what a terminal of 100 columns shows of standard error."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-m", "pbs_fast", name, "--core=rust", *args]
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")} | {"TERM": "xterm"}
    given = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with subprocess.Popen(command, stdin=given, stdout=subprocess.PIPE, stderr=its, env=env) as child:
        os.close(its)
        feeding = threading.Thread(target=feed, args=(child, stdin or b""))
        feeding.start()
        seen = shown(ours)
        assert child.stdout is not None
        out = child.stdout.read()
        feeding.join()
    return out, seen


def feed(child: subprocess.Popen[bytes], data: bytes) -> None:
    if child.stdin is not None:
        child.stdin.write(data)
        child.stdin.close()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0, "0"), (999, "999"), (1_000, "1.00 k"), (12_345, "12.3 k"), (999_400, "999 k")),
        *((999_600, "1.00 M"), (123_456_789, "123 M"), (5e9, "5.00 G")),
    ],
)
def test_figures_that_change_are_short(number: float, text: str) -> None:
    assert few(number) == text


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    big = tmp_path / "big.log"
    big.write_bytes(EXAMPLE.read_bytes() * 2_000)
    out, shown = on_terminal("--repeat=2", str(big))
    assert b"118,000" in out
    assert b"lines/s" in shown
    assert b" MB" in shown
    assert b"left" in shown
    assert b"rust, run 1 of 2" in shown
    assert b"rust, run 2 of 2" in shown


def test_report_has_the_same_bar(tmp_path: Path) -> None:
    big = tmp_path / "big.log"
    big.write_bytes(EXAMPLE.read_bytes() * 2_000)
    out, shown = on_terminal("--mynetworks=127.0.0.0/8", str(big), name="report")
    assert b"VERDICT" in out
    assert b"lines/s" in shown
    assert b"left" in shown


def test_of_a_pipe_a_terminal_shows_lines() -> None:
    out, shown = on_terminal("-", stdin=EXAMPLE.read_bytes() * 2_000)
    assert b"118,000" in out
    assert b" lines, " in shown
    assert b"lines/s" in shown
    assert b"MB" not in shown


def test_its_last_lines_say_how_much_this_machine_can_take(capfd: Output, tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = "2026-11-21T08:{:02d}:{:02d}Z mx postfix/smtpd[1]: connect\n"
    # 600 lines in ten minutes, 6,000 in the eleventh.
    text = "".join(line.format(second // 60, second % 60) for second in range(600))
    log.write_text(text + "".join(line.format(10, second // 100) for second in range(6_000)))
    assert main(["bench", "--core=both", str(log)]) == 0
    *_, own, rust, python = capfd.readouterr().out.splitlines()
    assert own == (
        "This log was written at 10 lines/s on average, over 11.0 minutes,"
        " and at 100 lines/s in its busiest minute (2026-11-21 08:10 UTC)."
    )
    for said, core in ((rust, "rust"), (python, "python")):
        figures = re.fullmatch(
            rf"This machine takes ([\d,]+) lines/s \({core}\): ([\d,]+) times the log's average rate,"
            r" ([\d,.]+) times that of the busiest minute\.",
            said,
        )
        assert figures is not None, said
        speed, average, peak = (float(figure.replace(",", "")) for figure in figures.groups())
        assert average == pytest.approx(speed / 10.0, rel=0.02)
        assert peak == pytest.approx(speed / 100, rel=0.02)


def test_what_cannot_be_said(capfd: Output, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("rubbish\n")
    assert main(["bench", str(log)]) == 0
    *_, before, last = capfd.readouterr().out.splitlines()
    assert before.startswith("No login was found. ")
    assert last == "How many times the log's own rate this is cannot be said: no line has a timestamp that can be read."


def test_what_an_empty_log_says(capfd: Output, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    assert main(["bench", str(log)]) == 0
    assert capfd.readouterr().out.endswith("\n\nThe log is empty, so nothing was measured.\n")


def test_a_pipe_by_its_name_is_read_once(tmp_path: Path, capfd: Output) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(EXAMPLE.read_bytes(),))
    writer.start()
    assert main(["bench", str(pipe)]) == 0
    writer.join()
    last = capfd.readouterr().out.splitlines()[-1]
    why = f"{pipe}, which is no file, cannot be read a second time"
    assert last == f"How many times the log's own rate this is cannot be said: {why}."
    assert main(["bench", "--repeat=2", str(pipe)]) == 2
    line = f"--repeat=2 reads the logs more than once, and {pipe}, which is no file, can be read once; name a file"
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")


def test_what_is_said_of_standard_input() -> None:
    command = [sys.executable, "-m", "pbs_fast", "bench", "-"]
    done = subprocess.run(command, input=EXAMPLE.read_bytes(), capture_output=True, check=True)
    last = done.stdout.decode().splitlines()[-1]
    assert (
        last == "How many times the log's own rate this is cannot be said: standard input cannot be read a second time."
    )


@pytest.mark.system
@pytest.mark.parametrize("name", ["x.svg", "x.PNG"])
def test_a_picture(name: str, tmp_path: Path) -> None:
    require_library("matplotlib")

    def run(picture: Path, *args: str) -> tuple[int, str]:
        # A process of its own: matplotlib imports `packaging`, which is the name of a directory of tests, too.
        command = [sys.executable, "-m", "pbs_fast", "bench", f"--plot={picture}", *args, str(EXAMPLE)]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        return done.returncode, done.stderr

    assert run(tmp_path / name, "--core=both", "--repeat=2") == (0, "")
    drawn = (tmp_path / name).read_bytes()
    if name == "x.svg":
        assert b"<svg" in drawn
        assert all(word in drawn for word in (b"<!-- fold -->", b"<!-- python, 1 thread -->", b"<!-- 59 lines -->"))
    else:
        assert drawn.startswith(b"\x89PNG")
    missing = tmp_path / "none" / name
    assert run(missing) == (1, f"pbs-fast bench: --plot={missing}: cannot be written: No such file or directory\n")


def test_a_picture_needs_matplotlib(capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.bench.plot.find_spec", lambda _name: None)
    assert main(["bench", "--plot=x.svg", str(EXAMPLE)]) == 1
    line = "--plot needs matplotlib, which is not installed: pip install 'pbs-fast[plot]'"
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")
    monkeypatch.setattr("importlib.metadata.PathDistribution.read_text", lambda *_: "debian\n")
    assert main(["bench", "--plot=x.svg", str(EXAMPLE)]) == 1
    line = "--plot needs matplotlib, which the Debian package does not hold; --json prints the figures"
    assert capfd.readouterr() == ("", f"pbs-fast bench: {line}\n")

"""The frame of the program: one line for bad use, help, exit statuses, what a start costs."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import pytest
import typer

import pbs_fast.cli as frame
from pbs_fast import __version__
from pbs_fast.cli import main
from pbs_fast.errors import TableError, UsageError

BAD_USE = [
    (["mtch"], "pbs-fast: no such command mtch; nearest: match"),
    (["cnfig", "--json"], "pbs-fast: no such command cnfig; nearest: config"),
    (["qqq"], "pbs-fast: no such command qqq; the commands are listed by: pbs-fast --help"),
    (["--versin"], "pbs-fast: no such option --versin; nearest: --version"),
    (["match", "--jsn"], "pbs-fast match: no such option --jsn; nearest: --json"),
    (["config", "--jsn"], "pbs-fast config: no such option --jsn; nearest: --json"),
    (["config", "--no-write"], "pbs-fast config: no such option --no-write; nearest: --nowrite"),
    (["config", "--logfiel=x"], "pbs-fast config: no such option --logfiel; nearest: --logfile"),
    (["config", "-q"], "pbs-fast config: no such option -q; see: pbs-fast config --help"),
    (["config", "--grace"], "pbs-fast config: --grace needs a value"),
    (["config", "--debug=1"], "pbs-fast config: --debug takes no value"),
    (["config", "extra"], "pbs-fast config: unexpected argument extra; see: pbs-fast config --help"),
    (["config", "--a\nb\x1b[2J"], "pbs-fast config: no such option --a\\x0ab\\x1b[2J; see: pbs-fast config --help"),
]


@pytest.mark.parametrize(("args", "line"), BAD_USE)
def test_bad_use_is_one_line_and_status_2(args: list[str], line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert capfd.readouterr() == ("", line + "\n")


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(args: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 0
    out, err = capfd.readouterr()
    assert out.startswith("Usage: pbs-fast [OPTIONS] COMMAND [ARGS]...\n")
    assert "Show the configuration in force." in out
    assert not err


def test_version_of_the_program(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr() == (f"version: {__version__}\n", "")


def commands() -> list[str]:
    group = typer.main.get_command(frame.application())
    return list(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", commands())
def test_help_of_each_command_is_plain_and_the_same_in_every_pipe(
    command: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main([command, "--help"]) == 0
        out, err = capfd.readouterr()
        assert not err
        texts.append(out)
    assert texts[0] == texts[1]
    assert max(len(line) for line in texts[0].splitlines()) <= 80
    assert texts[0].isascii()
    assert not [line for line in texts[0].splitlines() if re.search(r"\w-$", line)], "no word is broken"
    assert texts[0].splitlines()[2].strip(), "a command explains itself in its first paragraph"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The program with further commands that a test adds."""
    app = frame.application()
    monkeypatch.setattr(frame, "application", lambda: app)
    return app


def test_an_error_of_ours_is_its_line_and_its_status(program: typer.Typer, capfd: pytest.CaptureFixture[str]) -> None:
    @program.command("broken")
    def broken(how: str) -> None:
        print("found before")
        raise {"table": TableError("hash:/x cannot\nbe opened"), "usage": UsageError("x and y do not go together")}[how]

    assert main(["broken", "table"]) == 1
    assert capfd.readouterr() == ("found before\n", "pbs-fast broken: hash:/x cannot\\x0abe opened\n")
    assert main(["broken", "usage"]) == 2
    assert capfd.readouterr().err == "pbs-fast broken: x and y do not go together\n"


def test_what_was_found_before_a_fault_comes_before_it_in_a_common_pipe() -> None:
    code = (
        "import pbs_fast.cli as frame; from pbs_fast.errors import PbsError\n"
        "app = frame.application(); frame.application = lambda: app\n"
        "@app.command('broken')\n"
        "def broken() -> None:\n"
        "    print('found before'); raise PbsError('then this')\n"
        "raise SystemExit(frame.main(['broken']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert found.stdout == "found before\npbs-fast broken: then this\n"


def test_other_ways_to_end(program: typer.Typer, capfd: pytest.CaptureFixture[str]) -> None:
    @program.command("end")
    def end(how: str) -> int:
        if how == "interrupt":
            raise KeyboardInterrupt
        if how == "exit":
            raise typer.Exit(3)
        if how == "file":
            raise PermissionError(13, "Permission denied", "/x\ny")
        return int(how)

    assert main(["end", "interrupt"]) == 130
    assert main(["end", "exit"]) == 3
    assert main(["end", "4"]) == 4
    assert capfd.readouterr() == ("", "")
    assert main(["end", "file"]) == 1
    assert capfd.readouterr().err == "pbs-fast end: /x\\x0ay: Permission denied\n"
    with pytest.raises(ValueError, match="invalid literal"):  # a bug of ours is not hidden
        main(["end", "bug"])


def test_values_of_arguments_and_choices(program: typer.Typer, capfd: pytest.CaptureFixture[str]) -> None:
    @program.command("values")
    def values(
        path: Annotated[str, typer.Argument(metavar="FILE")],
        size: int = 1,
        colour: Colour = Colour.red,
    ) -> None:
        print(path, size, colour.value)

    assert main(["values", "--size=2", "p", "--colour", "green"]) == 0
    assert capfd.readouterr().out == "p 2 green\n"
    assert main(["values"]) == 2
    assert capfd.readouterr().err == "pbs-fast values: FILE is missing; see: pbs-fast values --help\n"
    assert main(["values", "p", "--size=x"]) == 2
    assert capfd.readouterr().err.startswith("pbs-fast values: --size: ")
    assert main(["values", "p", "--colour=gren"]) == 2
    line = capfd.readouterr().err
    assert line.startswith("pbs-fast values: --colour: ")
    assert line.endswith("; nearest: green\n")
    assert line.count("\n") == 1


class Colour(StrEnum):
    red = "red"
    green = "green"


def run(code: str, **options: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; from pbs_fast.cli import main; {code}"],
        stdout=options.get("stdout", subprocess.PIPE),
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_goes_away_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = run("sys.exit(main(['config']))", stdout=writing)
    os.close(writing)
    assert process.communicate()[1] == ""
    assert process.returncode == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_disk_under_our_output_is_one_line() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    process = run("sys.exit(main(['config']))", stdout=full)
    os.close(full)
    assert process.communicate()[1] == "pbs-fast: cannot write the output: No space left on device\n"
    assert process.returncode == 1


def test_closed_standard_output_is_no_traceback() -> None:
    process = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m pbs_fast --version >&-'], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in process.stderr


def test_an_interrupt_is_quiet() -> None:
    process = run(
        "import pbs_fast.cli as frame, typer, time; app = frame.application(); frame.application = lambda: app\n"
        "@app.command('wait')\n"
        "def wait() -> None:\n"
        "    print('ready', flush=True); time.sleep(60)\n"
        "sys.exit(main(['wait']))"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("", "")
    assert process.returncode == 130


def test_a_start_imports_nothing_that_only_other_commands_need() -> None:
    heavy = ["rich", "lmdb", "berkeleydb", "sqlite3", "tomllib", "json", "ipaddress", "zoneinfo", "importlib.metadata"]
    heavy += ["asyncio", "multiprocessing", "subprocess", "gzip", "bz2", "lzma", "hashlib"]
    heavy += ["pbs_fast._core", "pbs_fast.matching", "pbs_fast.formats.loader", "pbs_fast.config.read"]
    heavy += ["pbs_fast.daemon", "pbs_fast.tables", "pbs_fast.sources", "pbs_fast.ledger.ledger", "pbs_fast.bench"]
    # What typer itself needs is its own affair, such as subprocess.
    code = "import typer; typers = set(sys.modules); main(['--help'])\n"
    code += f"print([name for name in {heavy!r} if name in sys.modules and name not in typers], file=sys.stderr)"
    out, err = run(code).communicate()
    assert "Keeping the table:" in out
    assert err == "[]\n"


def cost(*command: str) -> float:
    """Seconds of processor time for one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_a_start_costs_at_most_50_ms_more_than_a_bare_typer_program() -> None:
    bare = "import typer; app = typer.Typer(add_completion=False); app.command()(lambda: None); app([])"
    ours = ("-c", "import sys; from pbs_fast.cli import main; sys.exit(main(['--version']))")
    # The least of alternating runs: a busy machine makes runs longer, never shorter.
    bares, times = [], []
    for _ in range(40):
        bares.append(cost("-c", bare))
        times.append(cost(*ours))
        if len(times) >= 3 and min(times) <= min(bares) + 0.050:
            return
    pytest.fail(f"at least {min(times)} s, and a bare one {min(bares)} s")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_of_its_own(shell: str) -> None:
    environment = os.environ | {"_PBS_FAST_COMPLETE": f"source_{shell}"}
    done = subprocess.run(
        [sys.executable, "-m", "pbs_fast"], env=environment, capture_output=True, text=True, check=True
    )
    assert "_PBS_FAST_COMPLETE" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pbs-fast for", ["formats"]),
        ("pbs-fast re", ["reap", "reload", "revoke"]),
        ("pbs-fast revoke --u", ["--undo"]),
        ("pbs-fast run --watch", ["--watchlog"]),
        ("pbs-fast bench --lo", ["--log-timezone"]),
        ("pbs-fast run --core ", ["auto", "rust", "python"]),
        ("pbs-fast bench --core b", ["both"]),
        ("pbs-fast list --sort u", ["user", "until"]),
        ("pbs-fast formats dove", ["dovecot"]),
        ("pbs-fast watch gr", ["granted"]),
        ("pbs-fast watch granted ref", ["refused"]),
    ],
)
def test_completion_offers_commands_options_and_values(words: str, offered: list[str]) -> None:
    environment = os.environ | {
        "_PBS_FAST_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pbs_fast"], env=environment, capture_output=True, text=True, check=True
    )
    assert [name for name in done.stdout.split() if name in offered] == offered

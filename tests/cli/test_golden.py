"""What users and their scripts read, to the letter: each command's --help, --dumpconfig, --list.

The expected texts lie in golden/. After a change that is wanted: PBS_FAST_GOLDEN=write pytest tests/cli/test_golden.py
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pbs_fast.cli import application, main, old
from pbs_fast.events import Grant
from pbs_fast.tables import open_table

GOLDEN = Path(__file__).with_name("golden")
_GROUP: Any = get_command(application())
COMMANDS = tuple(_GROUP.commands)
Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _as_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(old, "DEFAULT_FILE", "/nowhere/pbs-fast.toml")
    monkeypatch.setattr(old, "OLD_CONFIGURATIONS", ())


def holds(name: str, text: str) -> None:
    """The text is that of golden/NAME.txt."""
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("PBS_FAST_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{file} differs; is the change wanted? (see this module's text)"


def said(call: Callable[[Sequence[str]], int], arguments: list[str], capfd: Output, place: Path | None = None) -> str:
    """Standard output of a program that ends well; `place` is shown as DIR."""
    assert call(arguments) == 0, capfd.readouterr().err
    out = capfd.readouterr().out
    return out.replace(str(place), "DIR") if place else out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capfd: Output) -> None:
    holds(f"help-{command}", said(main, [command, "--help"], capfd))


def test_help_of_the_programs(capfd: Output) -> None:
    holds("help", said(main, ["--help"], capfd))
    holds("help-pop-before-smtp", said(old.main, ["--help"], capfd))


def test_every_help_is_held() -> None:
    assert {file.stem for file in GOLDEN.glob("help*.txt")} == {
        "help", "help-pop-before-smtp", *(f"help-{command}" for command in COMMANDS)
    }  # fmt: skip


@pytest.mark.parametrize(("name", "call"), [("pbs-fast", main), ("pop-before-smtp", old.main)])
def test_dumpconfig(name: str, call: Callable[[Sequence[str]], int], capfd: Output, tmp_path: Path) -> None:
    """The old program's four lines first, in its order; then ours."""
    file = tmp_path / "pbs-fast.toml"
    file.write_text(
        'watchlog = ["/var/log/maillog"]\nvalue = "relay"\nlogto = "/var/log/pop"\n[guards]\nproxies = ["192.0.2.7"]\n'
        '[[format]]\nname = "mine"\nprogram = ["mypop"]\nlogin = ["hello {user} from {ip}"]\n'
    )
    arguments = [f"--config={file}", "--dumpconfig", "--grace=60", f"--dbfile=lmdb:{tmp_path}/relay"]
    text = said(call, arguments if call is old.main else ["run", *arguments], capfd, tmp_path)
    assert [line.partition(":")[0] for line in text.splitlines()[:4]] == ["config file", "watchlog", "dbfile", "logto"]
    holds(f"dumpconfig-{name}", text)
    assert sorted(tmp_path.iterdir()) == [file], "nothing is made"


@pytest.mark.parametrize("addresses", [[], ["203.0.113.9"], ["203.0.113.9", "198.51.100.1", "2001:db8::1"]])
def test_list(addresses: list[str], capfd: Output, tmp_path: Path) -> None:
    spec = f"lmdb:{tmp_path}/relay"
    table = open_table(spec)
    table.rebuild({ip: Grant(2_000_000_000, None, "dovecot", "new") for ip in addresses})
    table.close()
    (tmp_path / "empty.toml").touch()
    config = f"--config={tmp_path}/empty.toml"
    text = said(old.main, [config, f"--dbfile={spec}", "--list"], capfd)
    assert said(main, ["run", config, f"--dbfile={spec}", "--list"], capfd) == text
    assert said(main, ["list", config, f"--dbfile={spec}"], capfd) == text
    holds(f"list-{len(addresses)}", text)

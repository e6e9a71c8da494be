"""What a command imports when it starts, and that values which are not converted are what typer makes of them."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

import pbs_fast
import pbs_fast.cli as frame
from pbs_fast.cli import values
from pbs_fast.cli.options import Grouped, duration

_GROUP: Any = get_command(frame.application())


def test_each_module_registers_the_commands_that_the_list_names() -> None:
    for module, commands in frame.MODULES.items():
        group: Any = get_command(frame._of_modules([module]))
        assert tuple(group.commands) == commands, module
    assert [*_GROUP.commands] == [name for commands in frame.MODULES.values() for name in commands]


def imported(*args: str) -> set[str]:
    """The modules that a process has after a command."""
    code = (
        "import sys; from pbs_fast.cli import main; status = main(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_a_command_imports_neither_other_commands_nor_what_converts_values(tmp_path: Path) -> None:
    log = tmp_path / "mail.log"
    log.write_text("Nov  2 03:04:05 mx dovecot: master: Dovecot v2.3.19 starting up\n")
    found = imported("bench", "--json", "--core=python", "--config=/dev/null", str(log))
    assert "pbs_fast.bench.replay" in found
    assert not found & {"pydantic", "importlib.metadata", "pbs_fast.cli.report", "pbs_fast.cli.manual", "rich"}


def test_the_version_is_what_the_installation_says() -> None:
    assert pbs_fast.__version__ == importlib.metadata.version("pbs-fast")


def test_where_a_path_has_two_installations_the_library_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0"):
        (tmp_path / f"pbs_fast-{version}.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "absent"), str(tmp_path)])
    monkeypatch.setattr(importlib.metadata, "version", lambda name: f"that of {name}")
    assert pbs_fast.__version__ == "that of pbs-fast"
    (tmp_path / "pbs_fast-1.0.dist-info").rmdir()
    assert pbs_fast.__version__ == "2.0"


PARAMS = [(name, param) for name, command in _GROUP.commands.items() for param in command.params]


@pytest.mark.parametrize(("name", "param"), PARAMS, ids=[f"{name}-{param.name}" for name, param in PARAMS])
def test_values_are_what_typer_makes_of_them(name: str, param: Any) -> None:
    ctx = _GROUP.commands[name].make_context(name, [], resilient_parsing=True)
    is_list = param.multiple or param.nargs != 1
    default = param.get_default(ctx)
    tried: list[Any] = [None, default]
    if is_list:
        tried += [[], (), ["a"], ("a", "b c"), ("\udcff",)]
    elif not isinstance(default, bool) and not getattr(param, "is_flag", False):
        tried += ["", "7", "a", "30m", "\udcff", "forget"]
    else:
        tried += [True, False]
    for value in tried:
        told: list[Any] = []
        for process in (type(param).process_value.__get__(param), param.process_value):
            try:
                told.append(process(ctx, value))
            except (typer.BadParameter, Exception) as error:
                told.append((type(error), str(error)))
        if is_list and all(isinstance(each, list | tuple) for each in told):
            told = [[*each] for each in told]
        assert told[0] == told[1], value


def test_what_the_parser_alone_knows_is_left_to_it() -> None:
    unset = object()
    for _, param in PARAMS:
        assert values._processed(param, lambda _, value: ("converted", value), None, unset) == ("converted", unset)


def test_what_must_be_converted_is_and_texts_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    app = frame.blank()
    asked: list[object] = []

    @app.command("probe", cls=Grouped)
    def probe(
        names: list[str] | None = None,
        count: int = 3,
        long: int = typer.Option(60, parser=duration(1, 3_600)),
        word: str | None = typer.Option(None, parser=str.upper, metavar="WORD"),
    ) -> int:
        """Show what came in."""
        asked.append((names, count, long, word))
        return 0

    converted: list[str] = []
    real = values._processed

    def noting(param: Any, convert: Any, ctx: Any, value: Any) -> Any:
        def noted(ctx: Any, value: Any) -> Any:
            converted.append(param.name)
            return convert(ctx, value)

        return real(param, noted, ctx, value)

    monkeypatch.setattr(values, "_processed", noting)
    assert frame.execute(lambda: app, "probe", ["--names=a", "--names=b"]) == 0
    assert converted == []
    assert frame.execute(lambda: app, "probe", ["--count=5", "--long=2m", "--word=ab"]) == 0
    assert sorted(converted) == ["count", "long", "word"]
    assert asked == [(["a", "b"], 3, 60, None), (None, 5, 120, "AB")]
    assert frame.execute(lambda: app, "probe", ["--count=x"]) == 2

"""`pbs-fast config`, and the options that `run` shares with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import pbs_fast.cli as frame
from pbs_fast.cli import main, options
from pbs_fast.config import Given, Settings, load, merge
from support.examples import examples


def in_force(capfd: pytest.CaptureFixture[str], *args: str) -> dict[str, tuple[object, str]]:
    assert main(["config", "--json", *args]) == 0
    out, err = capfd.readouterr()
    assert not err
    return {name: (entry["value"], entry["from"]) for name, entry in json.loads(out)["keys"].items()}


@pytest.mark.parametrize(
    ("args", "debug", "logto"),
    [
        (["--debug"], (True, "--debug"), ("-", "--debug")),
        (["--debug", "--logto=/l"], (True, "--debug"), ("/l", "--logto")),
        (["--logto=/l", "--debug"], (True, "--debug"), ("-", "--debug")),
        (["--logto", "/l", "--debug", "--logto", "/m"], (True, "--debug"), ("/m", "--logto")),
        (["--logto=/l", "--debug", "--nodebug"], (False, "--nodebug"), ("-", "--debug")),
        (["--logto", "--debug"], (False, "default"), ("--debug", "--logto")),
    ],
)
def test_the_order_of_debug_and_logto_is_kept(
    args: list[str], debug: tuple[bool, str], logto: tuple[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    values = in_force(capfd, *args)
    assert values["debug"] == debug
    assert values["logto"] == logto


def test_both_forms_of_a_value_and_repeated_options(capfd: pytest.CaptureFixture[str]) -> None:
    values = in_force(
        capfd,
        "--grace=60",
        "--watchlog",
        "/a=b",
        "--logfile=/c",
        "--table=lmdb:/t",
        "--grace",
        "90",
        "--nowrite",
        "--write",
    )
    assert values["grace"] == (90, "--grace")
    assert values["watchlog"] == (["/a=b", "/c"], "--logfile")
    assert values["table"] == (["lmdb:/t"], "--table")
    assert values["write"] == (True, "--write")


def test_options_win_over_the_file_wherever_it_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    path.write_text('grace = 60\nlogto = "/f"\n')
    for args in (["--config", str(path), "--grace=90"], ["--grace=90", f"--config={path}"]):
        values = in_force(capfd, *args)
        assert values["grace"] == (90, "--grace")
        assert values["logto"] == ("/f", f"{path}:2")


def test_the_default_file_is_read_when_it_is_there(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.toml"
    monkeypatch.setattr(load, "__defaults__", (str(path),))
    assert in_force(capfd)["grace"] == (1800, "default")
    path.write_text("grace = 61\n")
    assert in_force(capfd)["grace"] == (61, f"{path}:1")


def test_faults_of_file_and_options_are_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    path.write_text("\ngracee = 60\n")
    assert main(["config", f"--config={path}"]) == 2
    assert capfd.readouterr() == ("", f'pbs-fast config: {path}:2: unknown key "gracee"; nearest: "grace"\n')
    assert main(["config", "--core=rst"]) == 2
    assert capfd.readouterr() == ("", "pbs-fast config: --core must be one of auto, rust, python, not 'rst'\n")
    # The value that a later one hides is looked at too: what is wrong is wrong.
    assert main(["config", "--grace=x", "--grace=1"]) == 2
    assert capfd.readouterr().err.startswith(
        "pbs-fast config: --grace must be seconds or a duration like 30m, 24h, 7d or 1h30m, from 1s to 30d"
    )


def test_what_it_prints_is_a_configuration_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--grace=60", "--logfile=/a b", "--debug"]) == 0
    path = tmp_path / "c.toml"
    path.write_text(capfd.readouterr().out)
    config = merge(load(str(path)), []).config
    assert (config.grace, config.watchlog, config.debug, config.logto) == (60, ("/a b",), True, "-")


def test_it_says_what_is_followed_and_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    postconf = tmp_path / "postconf"
    postconf.write_text("#!/bin/sh\ncase $* in *default_database_type*) echo lmdb;; esac\n")
    postconf.chmod(0o755)
    monkeypatch.setattr("pbs_fast.config.show.default_log", lambda: "journal:")
    file = tmp_path / "c.toml"
    file.write_text(f'postconf = "{postconf}"\n')
    args = [f"--config={file}", f"--dbfile={tmp_path}/relay", "--table=hash:/t", "--table=sdbm:/s"]

    def head(*more: str) -> list[str]:
        assert main(["config", *args, *more]) == 0
        lines = capfd.readouterr().out.splitlines()
        return [line for line in lines if line.startswith(("# follows", "# writes"))]

    follows, chosen, given_, unknown = head()
    assert follows.startswith("# follows: the journal, as none of ")
    assert chosen == f"# writes: lmdb:{tmp_path}/relay (Postfix's default_database_type)"
    assert given_ == "# writes: hash:/t"
    assert unknown.startswith("# writes: sdbm:/s (")
    assert head("--watchlog=/a", "--watchlog=/b", "--nowrite")[:3] == [
        "# follows: /a",
        "# follows: /b",
        f"# writes: lmdb:{tmp_path}/relay (not with --nowrite)",
    ]
    assert main(["config", "--json", *args[:3]]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["writes"] == [f"lmdb:{tmp_path}/relay", "hash:/t"]
    assert len(found["follows"]) == 1


SWITCHES = [f"--{no}{name}" for name in ("write", "debug", "flock") for no in ("", "no")] + [
    "--reprocess",
    "--once",
    "--x",
]
VALUED = ["--grace", "--logto", "--table", "--watchlog", "--logfile", "--dbfile", "--daemon", "--config", "--y"]
OPTION = st.sampled_from(SWITCHES).map(lambda name: ([name], Given(name, name.removeprefix("--"), True))) | st.builds(
    lambda name, value, joined: ([f"{name}={value}"] if joined else [name, value], Given(name, "", value)),
    st.sampled_from(VALUED),
    st.sampled_from(["1", "--debug", "--", "a=b", "-", "--grace=2", ""]),
    st.booleans(),
)


def test_every_occurrence_is_seen_in_its_order() -> None:
    """A second walk over the arguments must take each for what the parser took it for."""
    seen: list[Given] = []
    app = typer.Typer(add_completion=False)

    @options.command(app, "probe")
    def probe(
        settings: Settings, x: bool = False, y: str = "", rest: Annotated[list[str] | None, typer.Argument()] = None
    ) -> None:
        """Its own options stand among ours."""

    command = typer.main.get_command(app)

    @examples(300)
    @given(st.lists(OPTION, max_size=6), st.booleans())
    def check(chosen: list[tuple[list[str], Given]], dashes: bool) -> None:
        args = [word for words, _ in chosen for word in words] + (
            ["--", "--grace=3", "--nowrite"] if dashes else ["argument"]
        )
        context = command.make_context("probe", list(args))
        found = options.given(command.params, args)
        expected = [each for _, each in chosen if each.option not in ("--config", "--x", "--y")]
        assert [each.option for each in found] == [each.option for each in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.value == (not one.option.startswith("--no") if isinstance(other.value, bool) else other.value)
        last = {each.key: each.value for each in found}
        for key, value in last.items():
            parsed = context.params[key]
            assert (parsed[-1] if isinstance(parsed, (list, tuple)) else parsed) == value
        seen.extend(found)

    check()
    assert len(seen) > 150


def test_a_command_gets_settings_and_its_own_options(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    app = frame.application()
    monkeypatch.setattr(frame, "application", lambda: app)
    got: list[object] = []

    @options.command(app, "probe")
    def probe(settings: Settings, names: list[str] | None = None, dumpconfig: bool = False) -> int:
        """Show what came in."""
        got.append((settings.config.grace, names, dumpconfig))
        return 5

    assert main(["probe", "--grace=7", "--dumpconfig", "--names=a", "--names", "b"]) == 5
    assert got == [(7, ["a", "b"], True)]
    assert main(["probe", "--help"]) == 0
    assert "Show what came in." in capfd.readouterr().out


def test_a_command_may_take_a_few_of_the_options(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    app = frame.application()
    monkeypatch.setattr(frame, "application", lambda: app)

    @options.command(app, "probe", ["dbfile", "grace"])
    def probe(settings: Settings) -> int:
        """Return the grace."""
        return settings.config.grace

    path = tmp_path / "c.toml"
    path.write_text("grace = 9\nwatchlog = '/l'\n")
    assert main(["probe", f"--config={path}"]) == 9
    assert main(["probe", f"--config={path}", "--grace=8"]) == 8
    assert main(["probe", "--watchlog=x"]) == 2
    assert capfd.readouterr().err == "pbs-fast probe: no such option --watchlog; see: pbs-fast probe --help\n"

"""`pop-before-smtp`: the old program's options as it read them, its outputs, and nothing passed over in silence."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mta import unavailable
from pbs_fast import __version__
from pbs_fast.cli import old
from pbs_fast.errors import UsageError

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def clean_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lies in this machine's /etc plays no part."""
    monkeypatch.setattr(old, "DEFAULT_FILE", str(tmp_path / "none.toml"))
    monkeypatch.setattr(old, "OLD_CONFIGURATIONS", (str(tmp_path / "old.conf"),))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (["--watchlog=/l", "--logfile", "/m"], ["--watchlog=/l", "--logfile=/m"]),
        (["-debug", "--DEBUG", "--nodebug", "--no-debug"], ["--debug", "--debug", "--nodebug", "--nodebug"]),
        (
            ["--wat=/l", "--rep", "--vers", "--du", "--li"],
            ["--watchlog=/l", "--reprocess", "--version", "--dumpconfig", "--list"],
        ),
        (["--grace", "60", "--dae=/p"], ["--grace=60", "--daemon=/p"]),
        (["--config=/c", "--logto=-"], ["--config=/c", "--logto=-"]),
        (["--nofl", "--now"], ["--noflock", "--nowrite"]),
        (["--debug", "--", "--list"], ["--debug"]),
        (["--logto="], ["--logto="]),
    ],
)
def test_options_are_read_as_getopt_long_reads_them(given: list[str], meant: list[str]) -> None:
    assert old.normalise(given) == meant


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--debug", "--config=/c"], "--config=FILE must be the first option."),
        (["--log=/l"], "option --log=/l is ambiguous: --logfile, --logto"),
        (["--wacht=/l"], "unknown option --wacht=/l; see: pop-before-smtp --help"),
        (["--grace"], "option --grace needs a value, as in --grace=..."),
        (["--debug=1"], "option --debug takes no value, but was given '1'"),
        (["/var/log/maillog"], "unexpected argument '/var/log/maillog'; options begin with --"),
        (["--core=rust"], "unknown option --core=rust; see: pop-before-smtp --help"),
        (["--"[:1] + "x"], "unknown option -x; see: pop-before-smtp --help"),
    ],
)
def test_bad_use_is_one_line_and_status_2(given: list[str], said: str, capfd: Output) -> None:
    with pytest.raises(
        UsageError, match="^" + "".join(f"[{char}]" if char in ".*+?[](){}|" else char for char in said)
    ):
        old.normalise(given)
    assert old.main(given) == 2
    assert capfd.readouterr() == ("", f"pop-before-smtp: {said}\n")


def test_perls_own_getopt_long_agrees() -> None:
    """The real module with the old program's specification, on every shortening of every option."""
    if shutil.which("perl") is None:
        unavailable("needs perl")
    program = """
        use Getopt::Long; my %opt;
        GetOptions(\\%opt, "config=s", "write!", "debug!", "flock!", "reprocess", "watchlog|logfile=s", "dbfile=s",
            "logto=s", "grace=i", "version", "dumpconfig", "list", "daemon=s", "help") or exit 2;
        print join(" ", map { "$_=$opt{$_}" } sort keys %opt);
    """.replace("\\\\", "\\")
    spelled: tuple[str, ...] = (
        "write",
        "nowrite",
        "no-write",
        "debug",
        "nodebug",
        "flock",
        "noflock",
        "reprocess",
        "version",
        "list",
    )
    spelled += ("watchlog=/x", "logfile=/x", "dbfile=/x", "logto=/x", "grace=7", "dumpconfig", "daemon=/x")
    agreed = 0
    for option in spelled:
        name, equals, value = option.partition("=")
        for length in range(1, len(name) + 1):
            argument = f"--{name[:length]}{equals}{value}"
            done = subprocess.run(["perl", "-e", program, "--", argument], capture_output=True, text=True, check=False)
            try:
                (found,) = old.normalise([argument])
            except UsageError:
                assert done.returncode == 2, argument
                continue
            assert done.returncode == 0, argument
            key, _, given = found.removeprefix("--").partition("=")
            flag = key.removeprefix("no") if key in ("nowrite", "nodebug", "noflock") else key
            expected = f"{flag.replace('logfile', 'watchlog')}={given or int(flag == key)}"
            assert done.stdout == expected, argument
            agreed += 1
    assert agreed > 60


def test_version_alone_and_combined(capfd: Output) -> None:
    assert old.main(["--version"]) == 0
    assert capfd.readouterr().out == f"version: {__version__}\n"
    assert old.main(["--version", "--dumpconfig", "--watchlog=/l", "--dbfile=null:x", "--logto=/o"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[:5] == [f"version: {__version__}", "config file: none", "watchlog: /l", "dbfile: null:x", "logto: /o"]


def test_the_table_lies_where_it_lay(capfd: Output) -> None:
    assert old.main(["--dumpconfig"]) == 0
    assert "\ndbfile: /etc/postfix/pop-before-smtp\n" in capfd.readouterr().out


def test_only_an_old_configuration_is_not_passed_over(tmp_path: Path, capfd: Output) -> None:
    (tmp_path / "old.conf").write_text("$grace = 600;\n1;\n")
    assert old.main(["--list"]) == 2
    said = capfd.readouterr().err
    assert said.startswith(
        f"pop-before-smtp: found the old configuration {tmp_path}/old.conf and no {tmp_path}/none.toml"
    )
    assert "pbs-fast import-config" in said
    assert old.main(["--version"]) == 0
    (tmp_path / "none.toml").write_text("")
    assert old.main(["--dumpconfig"]) == 0


def test_a_perl_configuration_names_the_way_out(tmp_path: Path, capfd: Output) -> None:
    file = tmp_path / "pop-before-smtp.conf"
    file.write_text("use strict;\n$grace = 600;\n1;\n")
    assert old.main([f"--config={file}"]) == 2
    assert "import-config" in capfd.readouterr().err

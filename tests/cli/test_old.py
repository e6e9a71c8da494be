"""`pop-before-smtp`: the old program's options as it read them, its outputs, and nothing passed over in silence."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mta import require_perl
from pbs_fast import __version__
from pbs_fast.cli import main, old
from pbs_fast.errors import UsageError
from pbs_fast.legacy import place
from pbs_fast.tables import parse

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


@pytest.mark.system
def test_perls_own_getopt_long_agrees() -> None:
    """The real module with the old program's specification, on every shortening of every option."""
    require_perl("Getopt::Long")
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


def test_a_table_that_is_not_there_holds_nothing(tmp_path: Path, capfd: Output) -> None:
    assert old.main([f"--dbfile=hash:{tmp_path}/relay", "--list"]) == 0
    assert capfd.readouterr().out == "The database holds 0 IPs.\n"


PACKAGED = Path(__file__).parents[2] / "packaging/etc/pbs-fast.toml"


def test_the_packages_own_configuration_hides_nothing(
    tmp_path: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As installed, it sets nothing but the user; once something is set in it, it is the administrator's word."""
    (tmp_path / "old.conf").write_text("$grace = 600;\n1;\n")
    default = tmp_path / "pbs-fast.toml"
    monkeypatch.setattr(old, "DEFAULT_FILE", str(default))
    text = PACKAGED.read_text().replace("/etc/pbs-fast/pbs-fast.toml", str(default))
    default.write_text(text)
    assert old.main(["--dumpconfig"]) == 2
    said = capfd.readouterr().err
    assert f"found the old configuration {tmp_path}/old.conf and no {default} that sets anything" in said
    assert f"pbs-fast import-config {tmp_path}/old.conf > {default}" in said
    for line in ("grace = 1800", "loopback = true"):
        assert f"#{line}\n" in text
        default.write_text(text.replace(f"#{line}\n", f"{line}\n"))
        assert old.main(["--dumpconfig"]) == 0


@pytest.mark.parametrize("own_directory", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_an_old_start_file_finds_what_was_made_of_its_configuration(
    gone: bool, own_directory: bool, tmp_path: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_of_toml = tmp_path / "pbs-fast"
    place_of_toml.mkdir()
    monkeypatch.setattr(old, "DEFAULT_FILE", str(place_of_toml / "pbs-fast.toml"))
    file = tmp_path / "blocking-conf.pl"
    file.write_text("use strict;\n$grace = 600;\n1;\n")
    assert old.main([f"--config={file}", "--dumpconfig"]) == 2
    target = f"{place_of_toml}/blocking.toml"
    assert capfd.readouterr().err == (
        f"pop-before-smtp: {file} is a Perl configuration; convert it once: pbs-fast import-config {file} > {target}; "
        f"--config={file} then finds it, or write --config={target}\n"
    )
    made = (tmp_path if own_directory else place_of_toml) / "blocking.toml"
    (place_of_toml / "another.toml").write_text("grace = 1\n")
    made.write_text(f"{place.MADE_FROM.format(file)} Behind # was: what was there.\ngrace = 601\n")
    if gone:
        file.unlink()
    assert old.main([f"--config={file}", "--dumpconfig"]) == 0
    out = capfd.readouterr().out
    assert f"config file: {made}\n" in out
    assert "\ngrace: 601\n" in out


def test_import_config_writes_the_line_by_which_it_is_found(tmp_path: Path, capfd: Output) -> None:
    require_perl()
    file = tmp_path / "old.conf"
    file.write_text("$grace = 600;\n1;\n")
    assert main(["import-config", str(file)]) == 0
    assert capfd.readouterr().out.startswith(place.MADE_FROM.format(file))


@pytest.mark.parametrize(
    ("settings", "there", "commented", "expected"),
    [
        ("", (), "", place.UPSTREAM),
        ("x = hash:/var/lib/pop-before-smtp/hosts\n", (place.UPSTREAM,), "", place.DEBIAN),
        ("x = hash:/etc/postfix/pop-before-smtp,\n reject\n", (place.DEBIAN,), place.DEBIAN, place.UPSTREAM),
        ("x = hash:/etc/postfix/pop-before-smtp-2\n", (place.DEBIAN,), "", place.DEBIAN),
        ("", (place.DEBIAN,), place.UPSTREAM, place.DEBIAN),
        ("", (), place.DEBIAN, place.DEBIAN),
        ("", (place.UPSTREAM, place.DEBIAN), place.DEBIAN, place.DEBIAN),
        ("", (place.UPSTREAM, place.DEBIAN), "", place.UPSTREAM),
    ],
)
def test_which_of_the_two_default_tables_it_was(
    settings: str, there: tuple[str, ...], commented: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstream's and Debian's: what Postfix names, which of them exists, the file's commented line, in this order."""
    monkeypatch.setattr(place, "files", lambda path: [Path(path + ".db")] if path in there else [])
    text = f"#$dbfile = '{commented}';\n" if commented else ""
    assert place.default_dbfile("/x.conf", text, ask=lambda _: settings).path == expected


def test_a_table_left_behind_is_named(tmp_path: Path) -> None:
    for name in ("a.db", "b.cdb", "c.pag", "c.dir", "kept.db"):
        (tmp_path / name).touch()
    paths = [str(tmp_path / name) for name in ("a", "b", "c", "kept", "none")]
    found = dict(place.left_behind(paths, parse(f"hash:{tmp_path}/kept")))
    assert set(found) == {f"hash:{tmp_path}/a", f"cdb:{tmp_path}/b", f"dbm:{tmp_path}/c"}
    said = [place.advice(spec, file) for spec, file in found.items()]
    assert f"empty it: pbs-fast clear --dbfile=hash:{tmp_path}/a" in said[0]
    assert f"remove {tmp_path}/c.*" in said[2]

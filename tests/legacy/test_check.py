"""`import-config --check LOG`: what a log grants under the imported configuration, beside the old program's answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta import require_perl
from pbs_fast.cli import main
from pbs_fast.legacy import check

Output = pytest.CaptureFixture[str]

CONFIG = r"""
$pat = '^[LOGTIME] \S+ dovecot: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip=(\d+\.\d+\.\d+\.\d+), lip=';
@mynets = ('192.0.2.0/28');
1;
"""
#: What of the old program matters here: its options, its pattern on each line, what it says, and that it goes on.
OLD = """#!PERL
our $pat; my %o = map { /^--(\\w+)=?(.*)/ ? ($1 => $2) : () } @ARGV;
die "--config=FILE must be the first option.\\n" if $ARGV[0] !~ /^--config=/;
exit 1 if $ENV{BROKEN};
do $o{config}; $pat =~ s/\\[LOGTIME\\]/(\\\\w\\\\w\\\\w +\\\\d+ \\\\d+:\\\\d+:\\\\d+)/; $| = 1;
open my $log, '<', $o{watchlog} or die; while (<$log>) { print "$1 added $2 to DB\\n" if /$pat/; }
print "------ reached end of log file ------\\n"; sleep 600;
"""


def line(ip: str, user: str = "ann", tag: str = "dovecot") -> str:
    return f"Mar  4 07:12:09 mx {tag}: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.99\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    perl = require_perl()
    (tmp_path / "old.conf").write_text(CONFIG)
    (tmp_path / "mail.log").write_text(line("203.0.113.5") + line("203.0.113.6") + line("203.0.113.5"))
    old = tmp_path / "pop-before-smtp"
    old.write_text(OLD.replace("PERL", perl))
    old.chmod(0o755)
    monkeypatch.setattr(check, "_OLD_PROGRAMS", (str(old),))
    return tmp_path


def run(place: Path) -> int:
    return main(["import-config", str(place / "old.conf"), f"--check={place}/mail.log"])


def test_both_grant_the_same(place: Path, capfd: Output) -> None:
    assert run(place) == 0
    assert capfd.readouterr().out == (
        f"{place}/mail.log: 2 addresses would be granted under the imported configuration\n"
        f"{place}/pop-before-smtp grants 2\n"
    )


def test_what_only_one_grants_is_shown(place: Path, capfd: Output) -> None:
    with (place / "mail.log").open("a") as log:
        log.write(line("203.0.113.7").replace("PLAIN", "ANONYMOUS"))  # nobody proved anything
        log.write(line("::ffff:203.0.113.9"))
    assert run(place) == 3
    out = capfd.readouterr().out
    assert "only pbs-fast: 203.0.113.9\n" in out
    assert "only the old program: 203.0.113.7\n" in out


def test_without_the_old_program_ours_is_shown(place: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_OLD_PROGRAMS", ("/nowhere/pop-before-smtp",))
    assert run(place) == 0
    out = capfd.readouterr().out
    assert "  203.0.113.5\n  203.0.113.6\n" in out
    assert "nothing to compare with" in out


def test_our_own_second_program_is_not_taken_for_the_old_one(place: Path, capfd: Output) -> None:
    (place / "pop-before-smtp").write_text("#!/usr/bin/python3\nraise SystemExit(9)\n")
    assert run(place) == 0
    assert "nothing to compare with" in capfd.readouterr().out


def test_an_old_program_that_fails(place: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    assert run(place) in (1, 2)
    assert "ended before it had read" in capfd.readouterr().err


def test_an_old_program_that_says_nothing(place: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_PATIENCE", 1)
    (place / "pop-before-smtp").write_text((place / "pop-before-smtp").read_text().splitlines()[0] + "\nsleep 60;\n")
    assert run(place) in (1, 2)
    assert "took more than 1 s; run it by hand: " in capfd.readouterr().err


def test_a_log_that_is_not_there(place: Path, capfd: Output) -> None:
    (place / "mail.log").unlink()
    assert run(place) in (1, 2)
    assert "cannot read the log" in capfd.readouterr().err

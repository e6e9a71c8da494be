"""`import-config --check LOG`: line by line, what the old file's own code grants and what the imported one grants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta import require_perl, unavailable
from pbs_fast.cli import main
from pbs_fast.legacy import check

#: Perl runs for each.
pytestmark = pytest.mark.system

Output = pytest.CaptureFixture[str]

CONFIG = r"""
$pat = '^[LOGTIME] \S+ dovecot: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip=(\d+\.\d+\.\d+\.\d+), lip=';
@mynets = ('192.0.2.0/28');
1;
"""


def line(ip: str, user: str = "ann", tag: str = "dovecot") -> str:
    return f"Mar  4 07:12:09 mx {tag}: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.99\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    require_perl()
    (tmp_path / "old.conf").write_text(CONFIG)
    (tmp_path / "mail.log").write_text(line("203.0.113.5") + line("203.0.113.6") + line("203.0.113.5"))
    return tmp_path


def run(place: Path, *options: str) -> int:
    return main(["import-config", *options, str(place / "old.conf"), f"--check={place}/mail.log"])


def test_both_grant_the_same(place: Path, capfd: Output) -> None:
    assert run(place) == 0
    assert capfd.readouterr().out == (
        f"{place}/mail.log: 2 addresses would be granted under the imported configuration\n"
        f"{place}/old.conf: 2 addresses are granted by its own code\n"
    )


def test_what_only_one_grants_is_shown_by_line(place: Path, capfd: Output) -> None:
    anonymous = line("203.0.113.7").replace("PLAIN", "ANONYMOUS")  # nobody proved anything
    mapped = line("::ffff:203.0.113.9")
    with (place / "mail.log").open("a") as log:
        log.write(anonymous + mapped)
    assert run(place) == 3
    out = capfd.readouterr().out
    assert f"  only pbs-fast: 203.0.113.9, line 5: {mapped}" in out
    assert f"  only the old file: 203.0.113.7, line 4: {anonymous}" in out
    assert run(place, "--keep-patterns") == 0
    assert "  only " not in capfd.readouterr().out


def test_another_address_of_one_line_is_a_difference(place: Path, capfd: Output) -> None:
    (place / "old.conf").write_text(
        "sub custom_match {\n"
        "return ($1, '203.0.113.99', 0) if /^(\\w\\w\\w +\\d+ \\d+:\\d+:\\d+) .*rip=/; return }\n1;\n"
    )
    assert run(place) == 3
    out, err = capfd.readouterr()
    assert out.count("only the old file: 203.0.113.99") == 3
    assert "not carried over: sub custom_match" in err


def test_a_terminal_obeys_no_line_of_the_log(place: Path, capfd: Output) -> None:
    (place / "mail.log").write_text(line("::ffff:203.0.113.9", user="\x1b]0;x\x07"))
    assert run(place) == 3
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert "user=<\\x1b]0;x\\x07>" in out


def test_relative_paths(place: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert main(["import-config", "old.conf", "--check=mail.log"]) == 0
    assert capfd.readouterr().out.startswith("mail.log: 2 addresses")


def test_code_that_fails_on_a_line_is_named(place: Path, capfd: Output) -> None:
    (place / "old.conf").write_text(
        'my $n = 0;\nsub custom_match { die "tired\\n" if ++$n == 2;\n'
        "return ($1, $2, 0) if /^(\\w\\w\\w +\\d+ \\d+:\\d+:\\d+) .*rip=([\\d.]+)/; return }\n1;\n"
    )
    assert run(place) == 3
    assert "  line 2: not compared, the old code fails on it: tired" in capfd.readouterr().out


def test_code_that_never_ends_is_ended(place: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_PATIENCE", 1.0)
    (place / "old.conf").write_text("sub custom_match { 1 while /2/; return }\n1;\n")
    assert run(place) in (1, 2)
    err = capfd.readouterr().err
    assert "perl did not come to the end of it within 1 s" in err
    assert "try a shorter log" in err


def test_an_answer_without_end_is_ended(place: Path, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_MOST", 60)
    assert run(place) in (1, 2)
    assert "answers more than 60 bytes" in capfd.readouterr().err


def test_root_never_runs_the_code_and_it_is_said(place: Path, capfd: Output) -> None:
    if os.geteuid() != 0:
        unavailable("needs root")
    seen = place / "seen"
    seen.touch(0o666)
    place.chmod(0o755)
    (place / "old.conf").write_text(CONFIG.replace("1;\n", f"open(F, '>', '{seen}'); print F \"$< $>\"; close F; 1;\n"))
    run(place)
    assert "its code runs as nobody, not as root" in capfd.readouterr().err
    assert "0" not in seen.read_text().split()
    (place / "old.conf").write_text(CONFIG.replace("1;\n", f"open(my $f, '>', '{place}/mine') and die 'written'; 1;\n"))
    assert run(place) == 0
    os.chown(place / "old.conf", 1, 1)
    run(place)
    assert "its code runs as daemon, not as root" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"), [("none.log", "cannot read the log"), (".", "cannot read the log"), ("x.gz", "is compressed")]
)
def test_a_log_that_cannot_be_compared(name: str, said: str, place: Path, capfd: Output) -> None:
    (place / "x.gz").write_bytes(b"")
    assert main(["import-config", str(place / "old.conf"), f"--check={place / name}"]) in (1, 2)
    assert said in capfd.readouterr().err

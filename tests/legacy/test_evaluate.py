"""Files that print, die, hang or use what is not installed; and no perl at all: one line, and what to do."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from mta import require_perl, wait_for
from pbs_fast.cli import main
from pbs_fast.errors import ConfigError
from pbs_fast.legacy import evaluate as module
from pbs_fast.legacy.evaluate import evaluate

#: Seconds that no other process of this machine sleeps.
LONG = 61_937
Output = pytest.CaptureFixture[str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    require_perl()
    return tmp_path / "pop-before-smtp-conf.pl"


def test_what_the_file_prints_is_not_what_it_sets(config: Path) -> None:
    config.write_text(
        'print "loading\\n"; warn "careful"; print STDERR "x\\n"; $grace = 60; print \'{"grace": "7"}\'; 1;\n'
    )
    assert dict(evaluate(str(config)).values) == {"grace": "60"}


def test_modules_that_are_not_there_are_taken_as_loaded(config: Path) -> None:
    config.write_text(
        "use File::Tail; use BerkeleyDB; use CDB_File; require NDBM_File; use Net::Netmask;\n"
        "use Sys::Syslog qw(:DEFAULT setlogsock);\nopenlog('pop-before-smtp', 'pid', 'mail');\n"
        "$tie_func = \\&tie_BerkeleyDB;\n1;\n"
    )
    assert dict(evaluate(str(config)).values) == {"tie_func": {"function": "tie_BerkeleyDB"}}


def test_any_other_module_that_is_not_there_is_named(config: Path) -> None:
    config.write_text("use Site::Own::Things;\n1;\n")
    with pytest.raises(ConfigError, match=r"perl cannot evaluate it: Can.t locate Site/Own/Things.pm") as caught:
        evaluate(str(config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('$grace = 60; die "no such host\\n";\n', "perl cannot evaluate it: no such host"),
        ("$grace = ;\n", "syntax error at .* line 1"),
        ("exit 3;\n", "it ends perl .exit status 3."),
        ("exit 0;\n", "it ends perl .exit status 0. instead of giving back"),
        ('$pat = "(\\n', "Can.t find string terminator"),
    ],
)
def test_a_file_that_fails_is_told_in_perls_words(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        evaluate(str(config))
    assert "\n" not in str(caught.value)
    assert str(config) in str(caught.value)


def test_a_file_that_hangs_is_ended_with_what_it_started(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1)
    config.write_text(f"system('sleep', '{LONG}');\n1;\n")
    with pytest.raises(ConfigError, match="perl did not come to the end of it within 1 s"):
        evaluate(str(config))
    assert any(b"python" in each or b"pytest" in each for each in running())
    wait_for("the end of what it started", lambda: f"sleep\0{LONG}\0".encode() not in running())


def running() -> list[bytes]:
    """What runs here, as pgrep says, which is not everywhere."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(process.read_bytes())
    return found


def test_the_old_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    config.write_text("$logto = join(',', sort keys %ENV); $dbfile = -t STDIN ? 'tty' : 'none'; 1;\n")
    values = evaluate(str(config)).values
    assert values["logto"] == "HOME,LOGNAME,PATH,SHELL"
    assert values["dbfile"] == "none"


def test_no_perl_is_said(config: Path, monkeypatch: pytest.MonkeyPatch, capfd: Output) -> None:
    config.write_text("1;\n")
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["import-config", str(config)]) in (1, 2)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == (
        "pbs-fast import-config: import-config needs perl to evaluate the old configuration, which is a Perl program; "
        "install it\n"
    )


def test_a_perl_without_its_modules_is_said(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's perl-base is such a one; here it is a real perl that finds none."""
    config.write_text("1;\n")
    bare = config.parent / "perl"
    bare.write_text(f"#!/bin/sh\nexec {shutil.which('perl')} -e 'BEGIN {{ @INC = \"/nowhere\" }} require JSON::PP;'\n")
    bare.chmod(0o755)
    monkeypatch.setenv("PATH", str(config.parent))
    with pytest.raises(
        ConfigError, match=r"needs perl with its standard modules .JSON::PP is not there.; install perl"
    ):
        evaluate(str(config))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the configuration file"):
        evaluate(str(tmp_path / "none"))


def test_the_help_says_that_code_runs(capfd: Output) -> None:
    assert main(["import-config", "--help"]) == 0
    assert "so its code runs" in " ".join(capfd.readouterr().out.replace("│", " ").split())


def test_what_is_unset_is_undef_and_the_rest_is_as_the_old_program_had_it(config: Path) -> None:
    """Sample files ask `defined $PID_pat`, `-f $file_tail{name}` and go on with `$pat`."""
    config.write_text(
        """use strict; use vars qw(%file_tail $pat $out_pat $PID_pat $IP_pat $OK_pat $FAIL_pat $OUT_pat $logto $log_func
            $dbfile $dbvalue $grace $write $flock $debug $reprocess $logtime_pat $mynet_func);
        my @unset = grep { defined } $out_pat, $PID_pat, $IP_pat, $OK_pat, $FAIL_pat, $OUT_pat, $logto, $log_func;
        $logto = join '|', scalar(@unset), map({ "$_=$file_tail{$_}" } sort keys %file_tail), $dbfile, $dbvalue, $grace,
            $write, $flock, $debug, $reprocess, $logtime_pat, ref $mynet_func, substr $pat, 0, 14;
        1;
        """
    )
    old = evaluate(str(config))
    assert old.values["logto"] == (
        "0|adjustafter=3|interval=5|maxinterval=10|name=/var/log/maillog|resetafter=30|tail=-1|/etc/postfix/pop-before-smtp"
        "|ok|1800|1|1|0|0|(\\w\\w\\w +\\d+ \\d+:\\d+:\\d+)|CODE|^[LOGTIME] \\S+"
    )
    assert set(old.values) == {"logto"}


def test_code_that_changes_perls_own_variables(config: Path) -> None:
    config.write_text("$_ = 5; $/ = undef; $, = 'x'; $\\ = 'y'; close STDOUT; close STDERR; $grace = 60; 1;\n")
    assert dict(evaluate(str(config)).values) == {"grace": "60"}


def test_several_files(config: Path) -> None:
    (config.parent / "more.pl").write_text("$grace = 61;\nsub mynet_more { '10.0.0.0/8' }\n1;\n")
    config.write_text("require './more.pl'; $mynet_func = \\&mynet_more; 1;\n")
    old = evaluate(str(config))
    assert (old.values["grace"], old.networks) == ("61", "10.0.0.0/8")


def test_modules_and_constants_under_strict(config: Path) -> None:
    """Real where they are installed, else their names: all are compiled before anything runs."""
    config.write_text(
        """use strict; use vars qw(%db $dbfile $grace $tie_func);
        use DB_File; use BerkeleyDB; use CDB_File; use Sys::Syslog qw(:DEFAULT setlogsock); use Fcntl qw(:flock);
        sub one { tie %db, 'DB_File', $dbfile, O_RDWR|O_CREAT, 0644, $DB_HASH; LOCK_EX }
        sub two { tie %db, 'BerkeleyDB::Hash', -Filename => $dbfile, -Flags => DB_CREATE | DB_INIT_CDB }
        openlog('x', 'pid', 'mail'); $grace = 7; $tie_func = \\&two;
        1;
        """
    )
    assert evaluate(str(config)).values["grace"] == "7"

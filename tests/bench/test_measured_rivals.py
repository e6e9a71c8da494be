"""The contenders of benches/measure: what they must find, in every run, and a stand-in for the Perl program."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from bench.conftest import Generated
from measure import logs
from measure import rivals as them
from measure.contenders import Contender, Sample, alternate
from measure.logs import Log
from pbs_fast.bench.hublog import Options, iter_lines

#: Says how many lines it was given, as the Perl program says what it adds; then it waits like that one.
STAND_IN = r"""#!/bin/sh
for option; do
    case $option in
        --watchlog=*) log=${option#*=} ;;
        --logto=*) own=${option#*=} ;;
        --reprocess|--nowrite|--dbfile=*|--pidfile=*) ;;
        *) exit 9 ;;
    esac
done
grep 'imap-login: Login' "$log" | sed 's/^/added /' >>"$own"
echo 'reached end of log file' >>"$own"
exec sleep 60
"""


def log(hub: Generated) -> Log:
    return Log(hub.path, hub.totals, "UTC")


def test_every_form_of_the_rare_pattern_finds_the_same(hub: Generated) -> None:
    found, _ = them.rivals(None)
    agreeing = [each for each in found if each.agrees is not None]
    assert {"Python re, one server's logins, line by line", "Python re, one server's logins, whole file mapped"} <= {
        each.name for each in agreeing
    }
    samples = alternate(agreeing, log(hub), 2)
    counts = {runs[0].found for runs in samples.values()}
    assert counts == {them.rare_lines(log(hub))}


def test_the_job_pattern_finds_every_login_and_few_other_lines() -> None:
    search = re.compile(them.JOB.encode()).search
    logins = others = 0
    for line, truth in iter_lines(Options(lines=20_000)):
        if truth.kind == "login":
            assert search(line), line
            logins += 1
        else:
            others += search(line) is not None
    assert others < 0.05 * logins


@pytest.mark.skipif(shutil.which("rg") is None, reason="ripgrep is not installed")
def test_ripgrep_and_python_find_the_same_by_the_job_pattern(hub: Generated) -> None:
    job = them.ripgrep()[1]
    search = re.compile(them.JOB.encode()).search
    assert job.run(log(hub)).found == sum(search(line) is not None for line in hub.path.read_bytes().splitlines())


@pytest.mark.parametrize("program", ["sshguard's parser", "fail2ban-regex"])
def test_they_are_found_and_run_or_said_to_be_missing(program: str, hub: Generated) -> None:
    found, missing = them.rivals(None)
    names = [each for each in found if each.name.startswith(program)]
    assert (len(names), program in missing) in ((1, False), (0, True))
    for each in names:
        (sample,) = alternate([each], log(hub), 1)[each.name]
        assert isinstance(sample.found, int)
        assert sample.found > 0
        assert sample.lines == 30_000


def test_a_stand_in_for_the_perl_program(hub: Generated, tmp_path: Path) -> None:
    program = tmp_path / "pop-before-smtp"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    found, missing = them.rivals(program)
    assert not any("Perl" in name for name in missing)
    sample = found[-1].run(log(hub))
    lines = hub.path.read_bytes().splitlines()
    assert sample.found == sum(b"imap-login: Login" in line for line in lines) > 0
    assert sample.lines == len(lines)
    assert 0 <= sample.seconds < 30
    assert sample.seconds == sample.cpu


def test_a_perl_program_that_ends_early_is_a_failure(hub: Generated, tmp_path: Path) -> None:
    program = tmp_path / "pop-before-smtp"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(AssertionError, match="ended with status 3"):
        them.rivals(program)[0][-1].run(log(hub))


def test_who_finds_now_this_now_that_is_no_contender(hub: Generated) -> None:
    counts = iter(range(9))
    fickle = Contender("fickle", lambda _: Sample(1.0, 1.0, 1, next(counts), {}))
    with pytest.raises(AssertionError, match="fickle: finds now this, now that"):
        alternate([fickle], log(hub), 2)


def test_who_finds_something_else_is_no_contender(hub: Generated) -> None:
    wrong = Contender("wrong", lambda _: Sample(1.0, 1.0, 1, 5, {}), agrees=lambda _: 6)
    with pytest.raises(AssertionError, match=r"wrong: finds \{5\}, others 6"):
        alternate([wrong], log(hub), 1)
    # Of a site's own log nothing is known.
    assert alternate([wrong], Log(hub.path, {}, None), 1)["wrong"][0].found == 5


def test_the_head_of_a_log_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.log"
    own.write_bytes(b"a\nb\nc\n")
    monkeypatch.setattr(logs, "DATA", tmp_path / "data")
    head = Log(own, {}, None).head(2)
    assert head.path.read_bytes() == b"a\nb\n"
    logs.forget_heads()
    assert list(head.path.parent.iterdir()) == []
    assert own.exists()

"""Old configurations of our own making (corpus/), each with a log: what perl grants by the file itself, against ours.

An import never grants what the old file did not grant, unless its notes say so; what it does not grant any more is
announced too, by a note or by the exit status. `oracle.pl` is the old program's decision, apart from the package's own
perl code.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from legacy.imported import RECOGNIZER
from mta import unavailable
from pbs_fast.cli import main
from pbs_fast.config import load, merge
from pbs_fast.events import Event
from pbs_fast.legacy.convert import convert
from pbs_fast.legacy.evaluate import evaluate
from pbs_fast.match.lines import Run
from pbs_fast.match.render import Source
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime
from pbs_fast.matching.site import site_formats
from pbs_fast.matching.zones import zone_table

#: Each file is run by perl twice, once as the old program did.
pytestmark = pytest.mark.system

HERE = Path(__file__).parent
CORPUS = sorted((HERE / "corpus").glob("*.pl"))
#: Line of the log -> (login or logout, address).
Events = dict[int, tuple[str, str]]
Output = pytest.CaptureFixture[str]

#: Files that are not carried over whole, by default and with --keep-patterns: what of them is named.
LEFT_OUT = {
    "blocking": ["$add_func = \\&add_block", "$del_func = \\&del_block"],
    "exclusion-first": ["sub custom_match (line "],
    "exclusion-in-the-loop": ["sub custom_match (line "],
    "exclusion-of-dovecot": ["sub custom_match (line "],
    "inclusion-first": ["sub custom_match (line "],
    "list-of-users": ["sub custom_match (line "],
    "look-ahead": ["$pat, line 7", "look-around"],
    "match-and-not": ["sub custom_match (line "],
    "not-in-one-condition": ["sub custom_match (line "],
    "nothing-matches": ["sub custom_match (line "],
    "override-of-add": ["sub add_DB (line "],
    "override-of-networks": ["sub mynet_postfix (line "],
    "own-reader": ["$tail_init_func = \\&open_remote", "$tail_getline_func = \\&read_remote"],
    "timestamp-not-replaced": ["holds [LOGTIME]"],
    "timestamp-not-replaced-older": ["holds [LOGTIME]"],
    "search-path": ["$ENV{'PATH'}"],
    "several-lines-odd-prefix": ["$PID_pat and its companions, line "],
    "several-lines-out-alone": ["$OUT_pat (line "],
    "several-lines-overlap": ["$OUT_pat (line "],
}
#: Files that grant nothing.
NOTHING = ("nothing-matches", "several-lines-odd-prefix", "timestamp-not-replaced", "timestamp-not-replaced-older")
#: Lines that only the old file grants although all is carried over, with words of the note that says so.
REFUSED = {
    "solidpop": ({1}, "it would also take lines such as"),
    "untouched": ({8}, "lines that may be forged are refused"),
}
#: Words of the TOML.
WRITTEN = {
    "address-first": ["(?P<ip>", "(?P<timestamp>"],
    "berkeleydb": ['dbfile = "hash:/etc/postfix/pop-before-smtp"'],
    "blocking": ["catalogue = false", "grace = 10800", 'mynetworks = ["127.0.0.0/8", "192.168.1.0/24"]'],
    "cdb-of-exim": ['dbfile = "cdb:/etc/exim4/pop-before-smtp?suffix=none"'],
    "courier": ['dbfile = "courier:/etc/courier/smtpaccess"', "mynetworks = []", "count_sessions = true"],
    "debian-default": ['dbfile = "hash:/var/lib/pop-before-smtp/hosts"'],
    "grace-and-value": ["grace = 5400", 'value = "RELAY"', 'dbfile = "hash:/srv/relay/hosts"', "write = true"],
    "iso-timestamps": ["(?P<timestamp>\\\\d\\\\d\\\\d\\\\d-\\\\d\\\\d-\\\\d\\\\d"],
    "logto-beside-syslog": ['logto = "/var/log/pop-before-smtp"'],
    "many-patterns": ["count_sessions = true", "catalogue = false"],
    "ndbm": ['dbfile = "hash:/etc/postfix/pop-before-smtp"'],
    "networks-by-code": ['mynetworks = ["postfix", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]'],
    "output-log": ['logto = "/var/log/pop-before-smtp"  # was: set_output_log('],
    "sendmail": ['"sendmail:/etc/mail/popauth?lock=fcntl"', '["127.0.0.0/8", "198.51.100.0/24"]'],
    "sendmail-without-lock": ["flock = false", '"sendmail:/etc/mail/popauth"'],
    "several-files": ["grace = 600", "count_sessions = true"],
    "several-lines": ["[format.session]", 'failure = ["{rest}"]'],
    "several-lines-fail-out": ["count_sessions = true", 'end = ["bye"]'],
    "timestamps-of-its-own": ['logtime = "%d/%b/%Y:%H:%M:%S"'],
    "stdin": ['watchlog = "-"'],
    "syslog": ['logto = "syslog"'],
    "tcprules": ['dbfile = "tcprules:/etc/tcp.smtp?program=/command/tcprules"'],
    "tail-with-pat": ["line_login", "line_logout", "count_sessions = true"],
    "untouched": ['catalogue = ["uw"]'],
}


class Imported(NamedTuple):
    """What an import comes to."""

    status: int
    toml: str
    said: str
    left_out: tuple[str, ...]


@pytest.fixture(autouse=True)
def with_perl() -> None:
    if shutil.which("perl") is None:
        unavailable("needs perl")


evaluated = functools.cache(evaluate)


@functools.cache
def import_config(file: Path, *, keep: bool = False) -> Imported:
    found = convert(evaluated(str(file)), None if keep else RECOGNIZER)
    left_out = tuple(found.left_out)
    return Imported(3 if left_out else 0, found.toml, "\n".join(found.notes), left_out)


@functools.cache
def by_the_old_file(file: Path) -> Events:
    with file.with_suffix(".log").open("rb") as log:
        done = subprocess.run(
            ["perl", str(HERE / "oracle.pl"), str(file)],
            stdin=log,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {int(number): (kind, ip) for number, kind, ip in rows}


class Keep:
    """Takes what `match` finds."""

    def __init__(self) -> None:
        self.events: Events = {}

    def prepare(self, *_: object) -> None: ...

    def event(self, file: str, line: int, event: Event, source: Source) -> str:
        del file, source
        self.events[line] = (event.kind, str(event.ip))
        return ""

    def missed(self, file: str, line: int, reason: str, text: str) -> str:
        return f"{file}:{line}: {reason}: {text}"


def by_ours(toml: str, log: Path, place: Path, core: str) -> Events:
    config = place / "pbs-fast.toml"
    config.write_text(toml)
    settings = merge(load(str(config)), ())
    backend = load_backend(core)
    keep = Keep()
    Run(
        backend,
        backend.Matcher(site_formats(settings).formats, zone_table("UTC")),
        now=1_796_083_200,
        render=keep,
        write=str,
        complain=pytest.fail,
        show_missed=False,
        logtime=read_logtime(settings.config.logtime) if settings.config.logtime else None,
    )([str(log)])
    return keep.events


def logins(events: Events) -> Events:
    return {number: event for number, event in events.items() if event[0] == "login"}


def differences(ours: Events, theirs: Events) -> tuple[set[int], set[int]]:
    """Lines that only ours grants, and lines that only the old file grants."""
    return (
        {number for number, event in logins(ours).items() if theirs.get(number) != event},
        {number for number, event in logins(theirs).items() if ours.get(number) != event},
    )


def test_it_is_of_a_size_and_the_tables_name_its_files() -> None:
    names = {file.stem for file in CORPUS}
    assert len(names) >= 25
    assert {*LEFT_OUT, *REFUSED, *WRITTEN} <= names


@pytest.mark.parametrize("core", ["rust", "python"])
@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_patterns_as_they_were_grant_what_the_old_file_granted(file: Path, core: str, tmp_path: Path) -> None:
    """With --keep-patterns to the line; where something is left out, never more."""
    found = import_config(file, keep=True)
    more, less = differences(
        by_ours(found.toml, file.with_suffix(".log"), tmp_path, core), theirs := by_the_old_file(file)
    )
    assert more == set(), found.toml
    if found.status == 0:
        assert less == set(), found.toml + found.said
    else:
        assert file.stem in LEFT_OUT
    assert theirs or file.stem in NOTHING, "the log has something to grant"


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_a_difference_is_announced(file: Path, tmp_path: Path) -> None:
    found = import_config(file)
    theirs = by_the_old_file(file)
    more, less = differences(by_ours(found.toml, file.with_suffix(".log"), tmp_path, "rust"), theirs)
    assert not more or "grants beyond the old pattern" in found.said, found.said
    if found.status == 0:
        expected, words = REFUSED.get(file.stem, (set(), ""))
        assert less == expected, found.said
        assert words in found.said
    assert all(word in found.toml for word in WRITTEN.get(file.stem, ())), found.toml


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.stem)
def test_what_is_left_out_is_named_and_in_the_toml(file: Path) -> None:
    found = import_config(file)
    named = found.left_out
    assert bool(named) == (file.stem in LEFT_OUT), found.said
    assert len(re.findall(r"(?m)^# NOT CARRIED OVER: ", found.toml)) == len(named)
    for words in LEFT_OUT.get(file.stem, ()):
        assert words in "\n".join(named)


@pytest.mark.parametrize("name", ["narrow-domain", "narrow-tls", "narrow-imap", "narrow-method"])
def test_a_narrow_pattern_says_what_is_granted_beyond(name: str) -> None:
    found = import_config(HERE / "corpus" / f"{name}.pl")
    assert found.status == 0
    assert 'catalogue = ["dovecot"]' in found.toml
    assert "is what the built-in format dovecot reads, which grants beyond the old pattern: " in found.said
    assert "sample lines, such as 'Mar  4 07:12:09 mx dovecot[" in found.said
    assert "import-config --keep-patterns" in found.said
    kept = import_config(HERE / "corpus" / f"{name}.pl", keep=True)
    assert "catalogue = false" in kept.toml


@pytest.mark.parametrize(
    "name", ["exclusion-first", "narrow-domain", "several-lines-fail-out", "timestamps-of-its-own", "untouched"]
)
def test_check_shows_both_differences_by_line(name: str, capfd: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same comparison as above, by the program's own --check, with relative paths."""
    monkeypatch.chdir(HERE / "corpus")
    file = HERE / "corpus" / f"{name}.pl"
    status = main(["import-config", f"--check={name}.log", f"{name}.pl"])
    out, err = capfd.readouterr()
    theirs = by_the_old_file(file)
    lines = file.with_suffix(".log").read_text().splitlines()
    assert f"{len({ip for _, ip in logins(theirs).values()})} addresses are granted by its own code" in out
    more, less = differences(by_ours_in(file), theirs)
    for who, numbers in (("pbs-fast", more), ("the old file", less)):
        shown = re.findall(rf"(?m)^  only {who}: (\S+), line (\d+): (.*)", out)
        assert {int(number) for _, number, _ in shown} == numbers, out
        assert all(lines[int(number) - 1] == text and ip in text for ip, number, text in shown)
    assert status == (3 if more or less else 0), err


def by_ours_in(file: Path) -> Events:
    with tempfile.TemporaryDirectory() as place:
        return by_ours(import_config(file).toml, file.with_suffix(".log"), Path(place), "rust")


def test_the_harness_can_fail(tmp_path: Path) -> None:
    """A conversion that takes the exclusion's pattern for a login, as the import once did, is seen."""
    file = HERE / "corpus" / "exclusion-first.pl"
    skip = re.search(r"\$skip = '(.*)';", file.read_text())
    assert skip is not None
    toml = f"catalogue = false\n[[format]]\nname = \"wrong\"\nline_login = ['{skip[1]}']\n"
    more, _ = differences(by_ours(toml, file.with_suffix(".log"), tmp_path, "python"), by_the_old_file(file))
    assert more == {8}

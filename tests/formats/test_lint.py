"""The packaged formats break no rule of the lint, and each rule finds the format that breaks it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pbs_fast.formats import Format
from pbs_fast.formats.lint import check, check_catalogue, fits_tag
from pbs_fast.formats.loader import load_catalogue, load_format
from pbs_fast.formats.placeholders import expand
from pbs_fast.formats.samples import Sample, load_samples, samples_of

CATALOGUE = load_catalogue()
SAMPLES = load_samples()

GOOD = """
name = "toy"
title = "Toy"
versions = "1"
program = ["toyd"]
success = ["welcome "]
login = ['welcome {user: } from {ip}']
logout = ['bye {user: } from {ip}']

[[sample]]
kind = "login"
message = "welcome otto from 203.0.113.5"
ip = "203.0.113.5"
user = "otto"

[[sample]]
kind = "logout"
message = "bye otto from 203.0.113.5"
ip = "203.0.113.5"
user = "otto"

[[sample]]
kind = "failure"
message = "no otto from 203.0.113.5"

[[sample]]
kind = "attack"
message = "welcome otto from 192.0.2.6 from 203.0.113.5"
fake = "192.0.2.6"
rule = "a name ends at a blank"
without = [["{ip}", "{ip}{rest}"]]
"""


@pytest.mark.parametrize("fmt", CATALOGUE, ids=lambda fmt: fmt.name)
def test_packaged_formats_keep_every_rule(fmt: Format) -> None:
    assert check(fmt, [sample for sample in SAMPLES if sample.format == fmt.name]) == []


def test_no_packaged_sample_is_taken_by_two_formats() -> None:
    assert check_catalogue(CATALOGUE, SAMPLES) == []


def toy(tmp_path: Path, old: str = "", new: str = "") -> tuple[Format, tuple[Sample, ...]]:
    """The good format with one replacement that must hit."""
    assert old in GOOD
    file = tmp_path / "toy.toml"
    file.write_text(GOOD.replace(old, new) if old else GOOD, encoding="utf-8")
    return load_format(file), samples_of(file)


def rules(tmp_path: Path, old: str, new: str) -> set[str]:
    fmt, samples = toy(tmp_path, old, new)
    return {finding.rule for finding in check(fmt, samples)}


def test_the_good_format_is_good(tmp_path: Path) -> None:
    fmt, samples = toy(tmp_path)
    assert check(fmt, samples) == []
    assert check_catalogue([fmt], samples) == []


LOGIN = "login = ['welcome {user: } from {ip}']"


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("tag", '["toyd"]', '["toyd "]'),
        ("success", '["welcome "]', '["we"]'),
        ("success", '["welcome "]', '["hello "]'),
        ("ascii", "welcome {user", "welc\u00f6me {user"),
        ("ascii", LOGIN, "login = ['''welcome {user: }\n from {ip}''']"),
        ("pattern", "from {ip}']\nlogout", "from ({ip}']\nlogout".replace("({ip}", "(?:{ip}")),
        ("groups", "{user: } from {ip}']\nlogout", "(?P<name>[^ ]+) from {ip}']\nlogout"),
        ("address", "from {ip}']\nlogout", "from {number}']\nlogout"),
        ("address", "bye {user: } from {ip}", "bye {user: } from {text: }"),
        ("address", "from {ip}']\nlogout", "from (?P<ip>.*)']\nlogout"),
        ("address", "from {ip}']\nlogout", "from (?P<ip>[^ ]+)']\nlogout"),
        ("one-pass", "welcome {user: } from", "welcome {rest} from"),
        ("one-pass", "welcome {user: } from", "welcome (?:[a-z]*|[^ ]*) from"),
        ("boundary", "welcome {user: } from", "welcome {user:,} from"),
        ("boundary", "welcome {user: } from {ip}']\nlogout", "welcome {user: } from{rest}{ip}']\nlogout"),
        ("anchored", "login = ['welcome", "login = ['{text:w}welcome"),
        ("samples", 'kind = "logout"', 'kind = "login"'),
        ("samples", 'kind = "failure"', 'kind = "login"'),
        ("samples", LOGIN, "login = ['welcome {user: } from {ip}', 'hello {user: } from {ip}']"),
        ("samples", '[[sample]]\nkind = "login"', "[own_log]\nprobe = 'welcome '\n\n[[sample]]\nkind = \"login\""),
        ("sample", 'message = "no otto', 'message = "bye otto'),
        ("sample", 'message = "bye otto', 'message = "see you otto'),
        ("sample", 'fake = "192.0.2.6"', 'fake = "192.0.2.6"\nip = "192.0.2.6"'),
    ],
)
def test_a_breach_is_found(tmp_path: Path, rule: str, old: str, new: str) -> None:
    assert rule in rules(tmp_path, old, new)


@pytest.mark.parametrize(
    "construct",
    [
        "^welcome",
        "welcome$",
        r"welcome\b",
        r"welcome\Z",
        r"welcome\A",
        r"welcome\z",
        r"(?=w)welcome",
        r"(?!x)welcome",
        r"(?<=x)welcome",
        r"(?<!x)welcome",
        r"welcome(?P=user)",
        r"welcome\1",
        r"(?>welcome)",
        r"w++elcome",
        r"w*+elcome",
        r"w{1,2}+elcome",
        r"(?i)welcome",
        r"(?i:welcome)",
        r"(?#x)welcome",
        r"(welcome)",
        r"(?<tls>welcome)",
        r"\pLelcome",
        r"\u0077elcome",
        r"[a-z&&[^b]]elcome",
        r"[[:alpha:]]elcome",
        r"[a-z--b]elcome",
        r"[w~~x]elcome",
    ],
)
def test_what_the_dialects_do_not_share_is_found(tmp_path: Path, construct: str) -> None:
    assert rules(tmp_path, "login = ['welcome", f"login = ['{construct}") & {"construct"}


SESSION = """
name = "toy"
title = "Toy"
versions = "1"
program = ["toyd"]
success = ["welcome "]

[session]
address = ['from {ip}']
success = ['welcome {user: }']
failure = ['no {user: }']
end = ['bye']

[[sample]]
kind = "login"
message = ["from 203.0.113.5", "welcome otto"]
ip = "203.0.113.5"
user = "otto"

[[sample]]
kind = "logout"
message = ["from 203.0.113.5", "welcome otto", "bye"]
ip = "203.0.113.5"
user = "otto"

[[sample]]
kind = "failure"
message = ["from 203.0.113.5", "no otto"]

[[sample]]
kind = "attack"
message = ["from 192.0.2.6", "no otto", "welcome otto"]
fake = "192.0.2.6"
rule = "a failure ends what is known of an address"
without = [["no {user: }", "not {user: }"]]
"""


def session_rules(tmp_path: Path, old: str = "", new: str = "") -> set[str]:
    assert old in SESSION
    file = tmp_path / "toy.toml"
    file.write_text(SESSION.replace(old, new) if old else SESSION, encoding="utf-8")
    return {finding.rule for finding in check(load_format(file), samples_of(file))}


def test_the_good_format_with_a_session_is_good(tmp_path: Path) -> None:
    assert session_rules(tmp_path) == set()


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("address", "address = ['from {ip}']", "address = ['from {number}']"),
        ("address", "success = ['welcome {user: }']", "success = ['welcome {user: }(?: {ip})?']"),
        ("address", "failure = ['no {user: }']", "failure = ['no {user: }(?: {ip})?']"),
        ("address", "end = ['bye']", "end = ['bye(?: {ip})?']"),
        ("boundary", "address = ['from {ip}']", "address = ['from {text:,}{ip}']"),
        ("one-pass", "address = ['from {ip}']", "address = ['from {rest} ?{ip}']"),
        ("construct", "end = ['bye']", "end = ['^bye']"),
        ("anchored", "success = ['welcome {user: }']", "success = ['{text:w}welcome {user: }']"),
        ("success", 'success = ["welcome "]', 'success = ["hello "]'),
        ("samples", 'kind = "logout"', 'kind = "login"'),
        ("samples", "end = ['bye']", "end = ['bye', 'gone']"),
        ("sample", '"welcome otto", "bye"]', '"welcome otto", "so long"]'),
        ("sample", 'message = ["from 203.0.113.5", "welcome otto"]', 'message = ["from 203.0.113.5", "hello otto"]'),
    ],
)
def test_a_breach_in_a_session_is_found(tmp_path: Path, rule: str, old: str, new: str) -> None:
    assert rule in session_rules(tmp_path, old, new)


ENDINGS = GOOD.replace(
    LOGIN,
    LOGIN + "\nrestart = ['up']\nkilled = ['child {pid} died(?: <{session:<>}>)?']\naborted = ['error of {user: }']",
)
ENDINGS += "".join(
    f'\n[[sample]]\nkind = "{kind}"\nmessage = "{message}"\n'
    for kind, message in (("restart", "up"), ("killed", "child 7 died"), ("aborted", "error of otto"))
)


def ending_rules(tmp_path: Path, old: str = "", new: str = "") -> set[str]:
    assert old in ENDINGS
    file = tmp_path / "toy.toml"
    file.write_text(ENDINGS.replace(old, new) if old else ENDINGS, encoding="utf-8")
    return {finding.rule for finding in check(load_format(file), samples_of(file))}


def test_the_good_format_with_endings_is_good(tmp_path: Path) -> None:
    assert ending_rules(tmp_path) == set()


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("groups", "restart = ['up']", "restart = ['up(?: {user: })?']"),
        ("groups", "killed = ['child {pid} died", "killed = ['child {user: } died"),
        ("groups", "killed = ['child {pid} died", "killed = ['child {ip} died"),
        ("groups", "aborted = ['error of {user: }']", "aborted = ['error of {text: }']"),
        ("groups", "aborted = ['error of {user: }']", "aborted = ['error of {user: }(?: {pid})?']"),
        ("anchored", "restart = ['up']", "restart = ['{text:u}up']"),
        ("one-pass", "restart = ['up']", "restart = ['up{number}{rest}']"),
        ("construct", "restart = ['up']", "restart = ['^up']"),
        ("samples", "restart = ['up']", "restart = ['up', 'down']"),
        ("samples", 'kind = "restart"', 'kind = "killed"'),
        ("sample", 'message = "up"', 'message = "upp"'),
        ("sample", 'kind = "restart"', 'kind = "failure"'),
    ],
)
def test_a_breach_in_endings_is_found(tmp_path: Path, rule: str, old: str, new: str) -> None:
    assert rule in ending_rules(tmp_path, old, new)


def test_a_message_may_start_with_a_name(tmp_path: Path) -> None:
    """Whatever stands in front of a name without a blank is another name; with a blank it is no name."""
    start = "welcome {user: } from {ip}']\nlogout", "{user} came from {ip}']\nlogout"
    file = tmp_path / "toy.toml"
    text = GOOD.replace(*start).replace('message = "welcome otto from', 'message = "otto came from')
    file.write_text(text.replace('["welcome "]', '[" came "]'), encoding="utf-8")
    assert "anchored" not in {finding.rule for finding in check(load_format(file), samples_of(file))}
    file.write_text(file.read_text(encoding="utf-8").replace("'{user} came", "'{user:,} came"), encoding="utf-8")
    assert "anchored" in {finding.rule for finding in check(load_format(file), samples_of(file))}


@pytest.mark.parametrize("harmless", [r"w\^elcome", r"w\$", r"w[$^]", r"w\(x\)", r"w\\Z", r"w\[[^\[\]]*\]", r"w[*+]+"])
def test_what_only_looks_like_a_construct_is_not_found(harmless: str) -> None:
    fmt = Format("toy", "Toy", "1", ("toyd",), (), ("welcome",), (harmless + expand(" from {ip}"),), ())
    assert "construct" not in {finding.rule for finding in check(fmt, ())}


def test_two_formats_that_take_one_sample_are_found(tmp_path: Path) -> None:
    fmt, samples = toy(tmp_path)
    (finding,) = check_catalogue([fmt, replace(fmt, name="other", logout=())], samples)[:1]
    assert finding.rule == "one-format"
    assert str(finding) == "toy: one-format: sample 1 is taken by toy and other"
    assert check_catalogue([fmt, replace(fmt, name="other", program=("otherd",))], samples) == []


def test_without_the_native_module_the_rules_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pbs_fast._core", None)
    fmt, samples = toy(tmp_path)
    assert check(fmt, samples) == []
    twice = replace(fmt, login=("welcome [a-z]*x" + expand(" from {ip}"),))
    assert "one-pass" in {finding.rule for finding in check(twice, samples)}


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("imap", True),
        ("cyrus/imap", True),
        ("slot1/x/imaps", True),
        ("cyrus/sieve", False),
        ("imap/sieve", False),
        ("ximap", False),
        ("*/imap", True),
        ("", False),
    ],
)
def test_tags(tag: str, fits: bool) -> None:
    (cyrus,) = (fmt for fmt in CATALOGUE if fmt.name == "cyrus")
    assert fits_tag(cyrus, tag) is fits

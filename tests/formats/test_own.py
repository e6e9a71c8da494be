"""A site's custom formats: what works in both backends, what is refused with its line and the way out, what is a
warning."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.cli import main
from pbs_fast.config import load, merge
from pbs_fast.errors import ConfigError
from pbs_fast.matching import Backend, load_backend
from pbs_fast.matching.site import Site, cost, site_formats

Output = pytest.CaptureFixture[str]

TAGGED = """\
[[format]]
name = "mypop"
program = ["mypop"]
success = ["hello"]
login = ['hello {user} from {ip}']
logout = ['bye {user} from {ip}']
"""
WHOLE = """\
[[format]]
name = "old-uw"
line_login = ['^[LOGTIME] [^ ]+ myimapd\\[\\d+\\]: Login user=\\S+ host=(?:\\S+ )?\\[{ip}\\]']
"""


def site(tmp_path: Path, text: str) -> Site:
    file = tmp_path / "pbs.toml"
    file.write_text(text)
    return site_formats(merge(load(str(file)), ()))


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        site(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


def one(login: str, key: str = "login", more: str = "") -> str:
    """A format with one pattern, which stands in line 4."""
    return f"[[format]]\nname = 'mine'\nprogram = ['mypop']\n{key} = ['{login}']\n{more}"


def test_both_ways_of_writing_one_work_in_both_backends(tmp_path: Path, core: Backend, capfd: Output) -> None:
    (tmp_path / "pbs.toml").write_text(TAGGED + WHOLE + "[formats.dovecot]\nprogram = ['backend']\n")
    log = tmp_path / "mail.log"
    log.write_text(
        "Mar  4 07:12:09 mx myimapd[123]: Login user=lena host=a.b [203.0.113.9]\n"
        "2026-03-04T07:12:10Z mx mypop[7]: hello lena from 2001:db8::7\n"
        "Mar  4 07:12:10 mx mypop: hello lena frm 203.0.113.7\n"
        "Mar  4 07:12:11 mx mypop: bye lena from 203.0.113.7\n"
        "Mar  4 07:12:11 mx other: hello lena from 203.0.113.66\n"
        "Mar  4 07:12:12 mx backend: imap-login: Login: user=<u>, rip=203.0.113.41, lip=192.0.2.1\n"
    )
    command = ["match", "--json", "--missed", f"--core={core.name}", f"--config={tmp_path}/pbs.toml", str(log)]
    assert main(command) == 3
    out, err = capfd.readouterr()
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each["line"], each.get("format"), each.get("ip"), each.get("missed")) for each in found] == [
        (1, "old-uw", "203.0.113.9", None),
        (2, "mypop", "2001:db8::7", None),
        (4, "mypop", "203.0.113.7", None),
        (6, "dovecot", "203.0.113.41", None),
        (3, None, None, "no-pattern"),
    ]
    assert "format old-uw: tried on lines that tags would rule out; a line takes" in err
    # A line that a pattern for whole lines took is understood, whatever its tag.
    assert err.splitlines()[1:] == ["pbs-fast match: of 6 lines looked at: 1 with the tag of no known server (other 1)"]


def test_a_sites_own_stand_before_the_catalogue(tmp_path: Path) -> None:
    found = site(tmp_path, TAGGED)
    assert found.formats[0].name == "mypop"
    assert (found.warnings, found.slow, len(found.formats) > 10) == ((), (), True)
    assert cost(load_backend("python"), found) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[format]]\nlogin = []\n", "pbs.toml:1: key 'name' is missing (docs/FORMAT-FILES.md)"),
        (TAGGED + TAGGED, "pbs.toml:8: there is a format 'mypop' already; give this one another name"),
        (TAGGED.replace("mypop", "dovecot"), "pbs.toml:2: there is a format 'dovecot' already"),
        (TAGGED.replace("login =", "logn ="), "pbs.toml:5: unknown key 'logn'; did you mean 'login'?"),
        (TAGGED.replace("['mypop']", "[]").replace('["mypop"]', "[]"), "pbs.toml:3: program is empty"),
        (TAGGED.replace("hello {user}", "hello {usr}"), "pbs.toml:5: login: unknown placeholder {usr}"),
        (one("hello"), "pbs.toml:4: login pattern 1: has no {ip}, so it can grant nothing"),
        (one("hi (?!x){ip}"), "pbs.toml:4: login pattern 1: holds look-around ((?!)"),
        (one("hi {ip}$"), "pbs.toml:4: login pattern 1: holds an anchor"),
        (one("hi ({ip}"), "pbs.toml:4: login pattern 1: holds a group without a name"),
        (one("hi (?P<addr>x) {ip}"), "pbs.toml:4: login pattern 1: unknown group addr"),
        (
            one("hi (?:[a-z]*)* {ip}"),
            "pbs.toml:4: login pattern 1: repeats (?:[a-z]*)*, which can match nothing",
        ),
        (
            one("hi {ip}", more="[[format.sample]]\nkind = 'login'\nmessage = 'ho 192.0.2.1'\n"),
            "pbs.toml:5: sample 1 is a",
        ),
        (
            one("hi {ip}", more="[format.own_log]\nprobe = 'hi (?=x)'\n"),
            "pbs.toml:6: probe holds (?=, whose time no engine here can bound; leave it out",
        ),
        (one("^[LOGTIME] ü {ip}", "line_login"), "pbs.toml:4: line_login pattern 1 holds a byte that is not printable"),
        (one("^[LOGTIME] (?=x)(.*)", "line_login"), "pbs.toml:4: line_login pattern 1 holds look-around ((?=)"),
        (one("^[LOGTIME] (.)\\\\2{ip}", "line_login"), "pbs.toml:4: line_login pattern 1 holds a back reference"),
        (one("^[LOGTIME] .*+{ip}", "line_login"), "pbs.toml:4: line_login pattern 1 holds a possessive or atomic part"),
        (one("^[LOGTIME] (?i){ip}", "line_login"), "pbs.toml:4: line_login pattern 1 holds flags for what follows"),
        (one("^[LOGTIME] [[:alpha:]]{ip}", "line_login"), "pbs.toml:4: line_login pattern 1 holds a class of POSIX"),
        (one("^[LOGTIME] x\\\\Z{ip}", "line_login"), "pbs.toml:4: line_login pattern 1 holds an end that depends"),
        (one("^[LOGTIME] (?:\\\\S*)+ {ip}", "line_login"), "pbs.toml:4: line_login pattern 1 repeats (?:\\S*)+"),
        (one("^[LOGTIME] ok", "line_login"), "pbs.toml:4: line_login pattern 1 has no address; write {ip}"),
        (one("^{ip} ok", "line_login"), "pbs.toml:4: line_login: '^"),
        ("[formats.dovecott]\nprogram = ['x']\n", 'pbs.toml:2: no format has the name "dovecott"; nearest: "dovecot"'),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    found = refused(tmp_path, text.replace("\\\\", "\\"))
    assert found.startswith(said)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (one("hi [a-z]*x {ip}"), "can read a text in two ways"),
        (one("from [^x]* at {ip}"), "in front of the address may hold the"),
        (one("hi (?P<ip>.*)"), "group ip is not {ip}"),
        (one("[LOGTIME] x {ip}", "line_login"), "does not begin with ^, so a line of another program"),
        (one("^[LOGTIME] x (.*)", "line_login"), "takes anything for the address (.*); write {ip}"),
        (one("^[LOGTIME] x (\\S+)", "line_login"), "takes anything for the address (\\S+); write {ip}"),
        (
            one("^[LOGTIME] .* from {ip}", "line_login"),
            "has free text (.*) before the address with nothing that ends it",
        ),
    ],
)
def test_what_is_unwise_works_and_is_a_warning(tmp_path: Path, text: str, said: str) -> None:
    warnings = site(tmp_path, text).warnings
    assert any(said in warning for warning in warnings), warnings
    assert all(warning.startswith(f"{tmp_path}/pbs.toml:4: ") for warning in warnings)


#: Each takes `re` for ever on a line of 60 bytes.
HOSTILE = ["(?:[a-z0-9-]{1,63}\\.?)+!", "(?:aa?)*!", "(?:[^ ]+ ?){1,20}!", ".*,.*,.*,.*!", "(?:x+)+!", "(?:[a-z]+x)*!"]


def both_installations(monkeypatch: pytest.MonkeyPatch, ask: Callable[[], object]) -> tuple[object, object]:
    """What is said with the native module and without it."""
    with_it = ask()
    monkeypatch.setitem(sys.modules, "pbs_fast._core", None)
    return with_it, ask()


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("key", ["login", "line_login"])
def test_what_re_runs_for_ever_is_accepted_with_and_without_the_native_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostile: str, key: str
) -> None:
    text = one(f"hi {hostile} {{ip}}") if key == "login" else one(f"^[LOGTIME] {hostile} {{ip}}", key)
    with_it, without_it = both_installations(monkeypatch, lambda: site(tmp_path, text))
    assert with_it == without_it
    assert site(tmp_path, text).slow == ("mine",)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(?:a*)*", "repeats (?:a*)*, which can match nothing; leave one of the two repetitions out"),
        ("(?:[a-z]{1,99}[.]){30}", "parts when its {N} are written out, 2000 at most; write + or *"),
        ("(?:" * 70 + "a" + ")" * 70, "has more than 60 groups in one another; write it flatter"),
    ],
)
@pytest.mark.parametrize("key", ["login", "line_login", "session"])
def test_what_neither_engine_bounds_is_refused_with_place_and_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, said: str, key: str
) -> None:
    if key == "session":
        text = one("hi {ip}") + f"session.address = ['from {{ip}}']\nsession.success = ['in {pattern}']\n"
    else:
        text = one(f"^[LOGTIME] {pattern} {{ip}}" if key == "line_login" else f"hi {pattern} {{ip}}", key)
    with_it, without_it = both_installations(monkeypatch, lambda: refused(tmp_path, text))
    assert with_it == without_it
    assert said in str(with_it)
    assert str(with_it).startswith("pbs.toml:6: session success" if key == "session" else f"pbs.toml:4: {key} pattern")


def test_the_shipped_example_is_accepted_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = (Path(__file__).parents[2] / "examples" / "blocking.toml").read_text()
    with_it, without_it = both_installations(monkeypatch, lambda: site(tmp_path, example))
    assert with_it == without_it
    assert not site(tmp_path, example).warnings
    assert [each.name for each in site(tmp_path, example).formats if each.name.endswith("-failed")]


def test_samples_are_tried_in_bounded_time(tmp_path: Path) -> None:
    """At the start, on whatever somebody has copied there."""
    sample = "[[format.sample]]\nkind = 'failure'\nmessage = 'hi " + "a" * 16_000 + "'\n"
    assert site(tmp_path, one("hi (?:aa?)*(?:a|aa)*! {ip}") + sample).slow == ("mine",)


def test_formats_shows_them_too(tmp_path: Path, capfd: Output) -> None:
    (tmp_path / "pbs.toml").write_text(
        TAGGED + "[[format.sample]]\nkind = 'login'\nmessage = 'hello u from 192.0.2.1'\n" + WHOLE
    )
    assert main(["formats", f"--config={tmp_path}/pbs.toml"]) == 0
    rows = capfd.readouterr().out.splitlines()
    assert rows[1].split() == ["mypop", "mypop"]
    assert rows[2].split() == ["old-uw", "old-uw"]
    assert main(["formats", f"--config={tmp_path}/pbs.toml", "mypop"]) == 0
    assert "hello u from 192.0.2.1" in capfd.readouterr().out
    assert main(["formats", f"--config={tmp_path}/pbs.toml", "old-uw"]) == 0
    assert "any, whole lines are searched" in capfd.readouterr().out

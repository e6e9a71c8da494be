"""Format files: what is read, and for each fault one line with file, line and the nearest right thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbs_fast.errors import FormatError
from pbs_fast.formats.loader import DATA, extend, load_catalogue, load_format, parse, read
from pbs_fast.formats.placeholders import NAMES, expand
from pbs_fast.formats.samples import samples_of, weakened
from support.timing import least_seconds

GOOD = """\
name = "toy"
title = "Toy"
versions = "1"
program = ["toyd"]
tls_program = ["toysd"]
success = ["welcome "]
login = ['welcome {user: } from {ip}']
logout = ['bye <{session:<>}>']
cut = 500
[own_log]
prefix = ["toy: "]
probe = 'welcome '
[session]
address = ['connect from {ip}']
success = ['user {user: } in']
failure = ['user {user: } not in']
end = ['gone']
[[sample]]
kind = "login"
message = "welcome otto from 203.0.113.5"
ip = "203.0.113.5"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "toy.toml"


def test_every_key_arrives(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    fmt = load_format(file)
    assert (fmt.name, fmt.title, fmt.versions, fmt.program, fmt.tls_program, fmt.success, fmt.cut) == (
        ("toy", "Toy", "1", ("toyd",), ("toysd",), ("welcome ",), 500)
    )
    assert fmt.login == ("welcome (?P<user>[^ ]*) from (?P<ip>[0-9A-Fa-f:.]+)",)
    assert fmt.logout == ("bye <(?P<session>[^<>]*)>",)
    assert (fmt.own_prefix, fmt.own_probe) == (("toy: ",), "welcome ")
    assert fmt.session_address == ("connect from (?P<ip>[0-9A-Fa-f:.]+)",)
    assert fmt.session_success == ("user (?P<user>[^ ]*) in",)
    assert fmt.session_failure == ("user (?P<user>[^ ]*) not in",)
    assert fmt.session_end == ("gone",)
    assert (fmt.cut_prefix, fmt.cut_whole) == ((), ())
    file.write_text(GOOD.replace("cut = 500", 'cut = 500\ncut_prefix = ["toy: "]'), encoding="utf-8")
    assert load_format(file).cut_prefix == ("toy: ",)
    file.write_text(GOOD.replace("cut = 500", "cut = 500\ncut_whole = [500, 510]"), encoding="utf-8")
    assert load_format(file).cut_whole == (500, 510)


def test_a_format_of_sessions_alone_needs_no_login(file: Path) -> None:
    file.write_text(GOOD.replace("login = ['welcome {user: } from {ip}']\n", ""), encoding="utf-8")
    fmt = load_format(file)
    assert fmt.login == ()
    assert fmt.session_success


def test_the_packaged_catalogue_is_by_name_and_whole() -> None:
    catalogue = load_catalogue()
    names = [fmt.name for fmt in catalogue]
    assert {"apple-mail", "courier-tcpd", "cyrus-rfc5424", "dovecot", "popa3d", "uw", "vpopmail"} <= set(names)
    assert names == sorted(file.stem for file in DATA.glob("*.toml"))


def test_what_is_skipped_on_load_is_samples_only() -> None:
    """A start reads up to the first sample; nothing of the format may stand behind it."""
    for file in DATA.glob("*.toml"):
        whole = parse(read(file), file)
        head = parse(read(file).partition("\n[[sample]]")[0], file)
        assert {**whole, "sample": None} == {**head, "sample": None}
        assert whole["sample"]


def test_loading_is_quick() -> None:
    """Each start waits for it, so all formats take less time than a parser of their samples: 7 and 18 ms."""

    def whole() -> list[object]:
        return [parse(read(file), file) for file in DATA.glob("*.toml")]

    took = least_seconds([load_catalogue, whole], lambda took: took[0] < took[1])
    assert took[0] < took[1]


@pytest.mark.parametrize(
    ("old", "new", "line", "text"),
    [
        ("title =", "titel =", 2, "unknown key 'titel'; did you mean 'title'?"),
        (
            "cut =",
            "zzz =",
            9,
            "unknown key 'zzz'; known: aborted, counted, cut, cut_prefix, cut_rest, cut_whole, killed, line_login,",
        ),
        ("probe =", "prob =", 12, "unknown key 'prob'; did you mean 'probe'?"),
        ("cut = 500", 'cut = "500"', 9, "cut must be a whole number"),
        ("cut = 500", "cut = true", 9, "cut must be a whole number"),
        ("cut = 500", "cut = -1", 9, "cut is a length in bytes, not -1"),
        ("cut = 500", 'cut_prefix = ["x"]', 9, "cut_prefix holds texts that are not empty, and needs a cut"),
        ("cut = 500", "cut_rest = 500", 9, "cut_rest is a length, from cut on, and needs a cut and no cut_prefix"),
        ("cut = 500", "cut = 500\ncut_rest = 499", 10, "cut_rest is a length, from cut on"),
        ("cut = 500", 'cut = 5\ncut_prefix = ["x"]\ncut_rest = 9', 11, "cut_rest is a length, from cut on"),
        ("cut = 500", "cut_whole = [500]", 9, "cut_whole holds ascending lengths, from cut on, and needs a cut"),
        ("cut = 500", "cut = 500\ncut_whole = [499]", 10, "cut_whole holds ascending lengths, from cut on"),
        ("cut = 500", "cut = 500\ncut_whole = [510, 500]", 10, "cut_whole holds ascending lengths, from cut on"),
        ("cut = 500", 'cut = 5\ncut_prefix = [""]', 10, "cut_prefix holds texts that are not empty, and needs a cut"),
        ('["toyd"]', '"toyd"', 4, "program must be a list of texts"),
        ('["toyd"]', '["toyd", 3]', 4, "program must be a list of texts"),
        ('["welcome "]', "{}", 6, "success must be a list of texts"),
        ("failure =", "failures =", 16, "unknown key 'failures'; did you mean 'failure'?"),
        ("['user {user: } in']", "[]", 15, "success is empty; give at least one pattern"),
        ("['user {user: } in']", "'x'", 15, "success must be a list of texts"),
        ("connect from {ip}", "{ipp}", 14, "address: unknown placeholder {ipp}; did you mean {ip}?"),
        ("[own_log]", "[[own_log]]", 10, "own_log must be a table"),
        ('name = "toy"', 'name = "Toy"', 1, "name 'Toy' may hold a-z, 0-9 and - only"),
        ('name = "toy"', 'name = "tow"', 1, "name is 'tow'; it must be the file's, 'toy'"),
        ("{user: }", "{usre: }", 7, "login: unknown placeholder {usre: }; did you mean {user}?"),
        ("{user: }", "{qqq}", 7, "login: unknown placeholder {qqq}; known: ip, rip, ipv4, lip, lipv4, user,"),
        ("{ip}", "{ip:x}", 7, "login: placeholder {ip:x}: ip takes no argument"),
        ("{user: }", "{to-rip}", 7, "login: placeholder {to-rip}: to-rip takes an argument"),
        ("{user: }", "{user:}", 7, "login: placeholder {user:}: needs the characters that end it"),
        ("{user: }", "{to-rip:usr}", 7, "login: placeholder {to-rip:usr}: knows no element 'usr', only user,"),
        ("{user: }", "{user-not:|x}", 7, "login: placeholder {user-not:|x}: needs texts separated by |"),
        ("cut = 500", 'raw_names = ["toyd", "other"]', 9, "raw_names: 'other' is no tag of program or tls_program"),
        ("cut = 500", "marked = [0]", 9, "marked holds numbers of login patterns, which begin with 1"),
        ("cut = 500", "unmarked = [1, 2]", 9, "unmarked holds numbers of login patterns, which begin with 1"),
        ("bye <", "bye {nowhere} <", 8, "logout: unknown placeholder {nowhere}"),
    ],
)
def test_a_fault_names_file_line_and_the_nearest(file: Path, old: str, new: str, line: int, text: str) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        load_format(file)
    assert str(caught.value).startswith(f"{file}:{line}: {text}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = \n", "not TOML: .*line 1"),
        ("name = 'toy'\n", "key 'title' is missing"),
        (GOOD.replace("probe = 'welcome '\n", ""), "key 'probe' is missing"),
        (GOOD.replace("address = ['connect from {ip}']\n", ""), "key 'address' is missing"),
        (GOOD.partition("[session]")[0].replace("['welcome {user: } from {ip}']", "[]"), ":7: login is empty; give at"),
        (GOOD.replace('["toyd"]', "[]").replace('["toysd"]', "[]").partition("[own_log]")[0], "program is empty"),
    ],
)
def test_a_fault_without_a_line(file: Path, text: str, message: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=message):
        load_format(file)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"none\.toml: cannot read this format file: No such file"):
        load_format(tmp_path / "none.toml")
    with pytest.raises(FormatError, match="cannot read this format file: Is a directory"):
        load_format(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe4'")
    with pytest.raises(FormatError, match="not UTF-8 at byte 8"):
        load_format(tmp_path / "latin.toml")


def test_extend_adds_tags_and_copies_nothing_else() -> None:
    catalogue = load_catalogue()
    more = extend(catalogue, {"dovecot": ["dovecot-backend", "dovecot"], "uw": ["my-imapd"]})
    by_name = {fmt.name: fmt for fmt in more}
    assert by_name["dovecot"].program == ("dovecot", "dovecot-backend")
    assert by_name["uw"].program == ("imapd", "ipop3d", "ipop2d", "my-imapd")
    assert [fmt.name for fmt in more] == [fmt.name for fmt in catalogue]
    assert by_name["cyrus"] is next(fmt for fmt in catalogue if fmt.name == "cyrus")
    assert extend(catalogue, {}) == catalogue


def test_extend_refuses_an_unknown_name() -> None:
    with pytest.raises(FormatError, match=r"unknown format 'dovecott'; did you mean 'dovecot'\?"):
        extend(load_catalogue(), {"dovecott": ["x"]})
    with pytest.raises(FormatError, match="unknown format 'zzz'; known: apple-mail, courier-imap, "):
        extend(load_catalogue(), {"zzz": []})


@pytest.mark.parametrize(
    ("sample", "text"),
    [
        ('kind = "login"', "sample 1: key 'message' is missing"),
        ('kind = "good"\nmessage = ""', "sample 1: kind is 'good'; it must be one of"),
        ('kind = "login"\nmessage = 3', "sample 1: message must be a text or a list of texts"),
        ('kind = "login"\nmessage = ""\nusr = ""', "sample 1: unknown key 'usr'; did you mean 'user'"),
        ('kind = "attack"\nmessage = ""', "sample 1: key 'fake' is missing"),
        ('kind = "login"\nmessage = ""\nprefix = "x"', "sample 1: prefix is not one of own_log.prefix"),
        ('kind = "attack"\nmessage = ""\nfake = ""\nrule = ""\nwithout = "x"', "sample 1: without must be a list"),
        ('kind = "attack"\nmessage = ""\nfake = ""\nrule = ""\nwithout = [["x"]]', "sample 1: without must be a list"),
    ],
)
def test_samples_are_checked(file: Path, sample: str, text: str) -> None:
    file.write_text(GOOD.partition("[[sample]]")[0] + "[[sample]]\n" + sample, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        samples_of(file)
    assert str(caught.value).startswith(f"{file}: {text}")


@pytest.mark.parametrize(
    ("without", "text"),
    [('[["{lip}", ""]]', "no login pattern holds '{lip}'"), ('"cut"', "but the format has no cut")],
)
def test_a_rule_that_is_not_there_cannot_be_removed(file: Path, without: str, text: str) -> None:
    head = GOOD.partition("[[sample]]")[0].replace("cut = 500\n", "")
    file.write_text(
        f'{head}[[sample]]\nkind = "attack"\nmessage = ""\nfake = ""\nrule = ""\nwithout = {without}', encoding="utf-8"
    )
    (sample,) = samples_of(file)
    with pytest.raises(FormatError, match=text):
        weakened(sample, file.parent)


def test_repetitions_and_escaped_braces_are_no_placeholders() -> None:
    assert expand(r"a{1,3}b{2}c\{ip}") == r"a{1,3}b{2}c\{ip}"


def test_the_manual_names_every_placeholder_and_key() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "FORMAT-FILES.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{{{name}}}`" in manual or f"`{{{name}:" in manual, name

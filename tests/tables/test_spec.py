"""`type:path`, paths without type, keys and values."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.errors import UsageError
from pbs_fast.tables import list_rows, open_table
from pbs_fast.tables.keys import (
    address_of,
    courier,
    courier_address,
    exim,
    iplsearch,
    is_canonical,
    sendmail,
    sendmail_address,
    sendmail_short,
    strange,
)
from pbs_fast.tables.registry import parse
from pbs_fast.tables.untyped import resolve
from pbs_fast.tables.value import Template
from tables.conftest import grant


@pytest.mark.parametrize(
    ("text", "shown", "file"),
    [
        ("hash:/x/relay", "hash:/x/relay", "/x/relay.db"),
        ("hash:/x/relay.db", "hash:/x/relay", "/x/relay.db"),
        ("btree:/x/relay", "btree:/x/relay", "/x/relay.db"),
        ("lmdb:/x/relay", "lmdb:/x/relay", "/x/relay.lmdb"),
        ("lmdb:/x/relay.lmdb", "lmdb:/x/relay", "/x/relay.lmdb"),
        ("lmdb:/x/relay?keys=exim", "lmdb:/x/relay", "/x/relay.exim-lmdb"),
        ("lmdb:/x/relay.exim-lmdb?group=mail&keys=exim", "lmdb:/x/relay", "/x/relay.exim-lmdb"),
        ("lmdb:/x/relay.exim-lmdb", "lmdb:/x/relay.exim-lmdb", "/x/relay.exim-lmdb.lmdb"),
        ("lmdb:/x/relay.db", "lmdb:/x/relay.db", "/x/relay.db.lmdb"),
        ("hash:/x/a:b c", "hash:/x/a:b c", "/x/a:b c.db"),
        ("cdb:/x/relay.cdb", "cdb:/x/relay", "/x/relay.cdb"),
        ("cdb:/x/relay?keys=exim", "cdb:/x/relay", "/x/relay.cdb"),
        ("text:/x/relay", "text:/x/relay", "/x/relay"),
        ("text:/x/relay?command=/bin/a%26b 'c d'&timeout=3", "text:/x/relay", "/x/relay"),
        ("socketmap:unix:pbs/sock:pbs", "socketmap:unix:pbs/sock:pbs", None),
        ("socketmap:inet:127.0.0.1:9998:pbs?prefix6=64", "socketmap:inet:127.0.0.1:9998:pbs", None),
        ("sendmail:/etc/mail/popauth.db?tag=POP:", "sendmail:/etc/mail/popauth", "/etc/mail/popauth.db"),
        ("tcprules:/etc/tcp.smtp", "tcprules:/etc/tcp.smtp", "/etc/tcp.smtp.cdb"),
        ("courier:/etc/courier/smtpaccess", "courier:/etc/courier/smtpaccess", "/etc/courier/smtpaccess.pbs-fast"),
        ("courier:/etc/courier/smtpaccess.dat", "courier:/etc/courier/smtpaccess", "/etc/courier/smtpaccess.pbs-fast"),
        ("null:", "null:", None),
    ],
)
def test_suffixes_are_appended_once(text: str, shown: str, file: str | None) -> None:
    spec = parse(text)
    assert str(spec) == shown
    assert spec.file == (None if file is None else Path(file))


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = parse("lmdb:a/relay")
    monkeypatch.chdir("/")
    assert spec.file == tmp_path / "a" / "relay.lmdb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hsh:/x", "there is no table type hsh:; did you mean hash:?"),
        ("LMDB:/x", "did you mean lmdb:?"),
        (
            "zzzz:/x",
            "there are hash:, btree:, lmdb:, cdb:, text:, socketmap:, policy:, sendmail:, tcprules:, courier:, exec:, "
            "null:",
        ),
        ("/x/relay", "needs a type before the path, as in lmdb:/x/relay"),
        ("hash:", "needs the path of a file"),
        ("hash:/x/", "needs the path of a file"),
        ("hash:/x/.db", "has no name"),
        ("hash:/x\0y", "needs the path of a file"),
        ("cdb:/x?key=exim", "cdb: has no option 'key'; use keys"),
        ("cdb:/x?keys=dotted", "keys is exim, not 'dotted'"),
        ("cdb:/x?keys=iplsearch", "keys is exim, not 'iplsearch'"),
        ("cdb:/x?keys=exim&keys=exim", "write the option keys once"),
        ("text:/x?command", "write the option command once, as command=VALUE"),
        ("lmdb:/x?keys=iplsearch", "keys is exim, not 'iplsearch'"),
        ("lmdb:/x?group=mail", "lmdb: has no option 'group'; use keys"),
        ("lmdb:/x?", "lmdb: has no option ''"),
        ("sendmail:/x?ipv6=none", "ipv6 is full or short, not 'none'"),
        ("tcprules:/x?rule=/y", "tcprules: has no option 'rule'; use rules"),
    ],
)
def test_bad_specs_are_named(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_options_are_read_apart_from_the_path() -> None:
    spec = parse("text:/x/relay?timeout=3&command=/bin/a%26b 'c %25 d'=e")
    assert spec.options == (("command", "/bin/a&b 'c % d'=e"), ("timeout", "3"))
    assert spec.option("keys", "none") == "none"


class Postconf:
    """A host's postconf: answers by argument list."""

    def __init__(self, **answers: str) -> None:
        self._answers = answers

    def __call__(self, arguments: Sequence[str]) -> str | None:
        return self._answers.get({"-n": "configured"}.get(arguments[0], arguments[-1]))


@pytest.mark.parametrize(
    ("host", "db", "chosen", "reason"),
    [
        ({}, False, "lmdb", "no Postfix here"),
        ({}, True, "hash", "relay.db exists"),
        ({"default_database_type": "btree\n"}, False, "btree", "default_database_type"),
        ({"default_database_type": "lmdb\n"}, True, "hash", "relay.db exists"),
        ({"configured": "smtpd_relay_restrictions = permit_mynetworks,\n    check_client_access lmdb:{path},\n    x\n"},
         True, "lmdb", "smtpd_relay_restrictions names lmdb:"),
        ({"configured": "mynetworks = hash:{path}, 127.0.0.0/8\n"}, False, "hash", "mynetworks names hash:"),
        ({"configured": "a = lmdb:{path}2 lmdb:/x{path}\n"}, False, "lmdb", "no Postfix here"),
        ({"configured": "a = proxy:btree:{path}\n"}, False, "btree", "a names btree:"),
        ({"configured": "a = hash:{path}\n", "non_bdb_migration_level": "enable-redirect\n",
          "default_database_type": "lmdb\n"}, True, "lmdb", "turns into lmdb"),
        ({"configured": "a = hash:{path}\n", "non_bdb_migration_level": "disable\n",
          "default_database_type": "lmdb\n"}, True, "hash", "a names hash:"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["", ".db"])  # of the old program's users some gave the suffix
def test_a_path_without_type(
    host: dict[str, str], db: bool, chosen: str, reason: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / "relay"
    if db:
        (tmp_path / "relay.db").touch()
    answers = {name: text.replace("{path}", str(path)) for name, text in host.items()}
    found = resolve(str(path) + suffix, ask=Postconf(**answers), exim=lambda: None)
    assert found.spec.type == chosen
    if ("configured" in host and "names" in reason) or db:
        assert found.spec.path == path, "what Postfix opens"
    assert reason in found.reason


@pytest.mark.parametrize(
    ("host", "db", "chosen"),
    [
        ({}, False, ("cdb", "exim")),
        ({}, True, ("hash", "")),
        ({"default_database_type": "lmdb\n"}, False, ("lmdb", "")),
    ],
)
def test_a_path_without_type_beside_exim(
    host: dict[str, str], db: bool, chosen: tuple[str, str], tmp_path: Path
) -> None:
    """Debian's Exim has no look-up lmdb, so a host without Postfix must not start with such a table."""
    path = tmp_path / "relay"
    if db:
        (tmp_path / "relay.db").touch()
    found = resolve(str(path), ask=Postconf(**host), exim=lambda: "/usr/sbin/exim4")
    assert (found.spec.type, found.spec.option("keys")) == chosen
    assert found.spec.path == path
    assert ("/usr/sbin/exim4" in found.reason) == (found.spec.type == "cdb")


def test_a_type_that_is_not_written_is_never_replaced(tmp_path: Path) -> None:
    path = f"{tmp_path}/relay"
    with pytest.raises(UsageError, match="default_database_type, but there is no table type sdbm:"):
        resolve(path, ask=Postconf(default_database_type="sdbm"))
    with pytest.raises(UsageError, match=r"mynetworks names texthash:.*give type:path"):
        resolve(path, ask=Postconf(configured=f"mynetworks = texthash:{path}\n"))


@given(st.one_of(st.ip_addresses().map(str), st.ip_addresses(v=6).map(lambda ip: ip.exploded), st.text(max_size=40)))
def test_keys_are_what_the_c_library_prints(text: str) -> None:
    if not is_canonical(text):
        return
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    assert socket.inet_ntop(family, socket.inet_pton(family, text)) == text
    ipaddress.ip_address(text)


_KEYS = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=6).map(lambda ip: ip.exploded),
    st.ip_addresses(v=4).map(lambda ip: f"::ffff:{ip}"),
    st.sampled_from(["10", "010.0.0.1", "1.2.3", "::1", "\udcff", "1.2.3.4\0", "fe80::1%lo", ""]),
)


@given(st.lists(_KEYS, max_size=8), st.lists(st.ip_addresses(v=4).map(str), max_size=4))
def test_many_keys_at_once_are_judged_as_each_by_itself(keys: list[str], others: list[str]) -> None:
    assert sorted(strange(iter([*others, *keys]))) == sorted(key for key in keys if not is_canonical(key))


@given(st.ip_addresses(v=4), st.integers(0, 2**128 - 1))
def test_every_address_has_one_key(four: ipaddress.IPv4Address, six: int) -> None:
    assert is_canonical(str(four))
    packed = six.to_bytes(16)
    text = socket.inet_ntop(socket.AF_INET6, packed)
    assert is_canonical(text) == (not packed.startswith(bytes(10) + b"\xff\xff"))
    assert not is_canonical(f"::ffff:{four}")


def test_exim_s_spelling() -> None:
    assert exim("2001:db8::1") == "2001.0db8.0000.0000.0000.0000.0000.0001"
    assert iplsearch("2001:db8::1") == '"2001:0db8:0000:0000:0000:0000:0000:0001"'
    assert exim("203.0.113.5") == iplsearch("203.0.113.5") == "203.0.113.5"


@given(st.integers(0, 2**128 - 1), st.sampled_from([exim, iplsearch]))
def test_every_spelling_leads_back(six: int, spell: Callable[[str], str]) -> None:
    text = socket.inet_ntop(socket.AF_INET6, six.to_bytes(16))
    if is_canonical(text):
        assert address_of(spell(text)) == address_of(text) == text


def test_other_mtas_spellings() -> None:
    assert sendmail("2001:db8::1") == "ipv6:2001:db8:0:0:0:0:0:1"
    assert sendmail_short("2001:db8::1") == "ipv6:2001:db8::1"
    assert courier("2001:db8::1") == ":2001:0db8:0000:0000:0000:0000:0000:0001"
    assert sendmail("203.0.113.5") == sendmail_short("203.0.113.5") == courier("203.0.113.5") == "203.0.113.5"


@given(st.one_of(st.ip_addresses(v=4).map(int), st.integers(0, 2**128 - 1)))
def test_other_mtas_spellings_lead_back(number: int) -> None:
    four = number < 2**32
    text = socket.inet_ntop(*((socket.AF_INET, number.to_bytes(4)) if four else (socket.AF_INET6, number.to_bytes(16))))
    if is_canonical(text):
        assert courier_address(courier(text)) == text
        assert sendmail_address(sendmail(text)) == sendmail_address(sendmail_short(text)) == text


@pytest.mark.parametrize(
    "key",
    ["2001:db8:0:0:0:0:0:1", "ipv6:2001:0db8:0:0:0:0:0:1", "IPv6:2001:db8:0:0:0:0:0:1", "ipv6:203.0.113.5", "203.0.113",
     "ipv6:::ffff:203.0.113.5", "ipv6:", "", ":2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", ":",
     ":203.0.113.5", ":0000:0000:0000:0000:0000:ffff:cb00:7105", "10", "192.168"],
)  # fmt: skip
def test_other_mtas_keys_that_are_not_ours(key: str) -> None:
    assert sendmail_address(key) is None
    assert courier_address(key) is None


@pytest.mark.parametrize(
    "key",
    ["2001:0db8:0000:0000:0000:0000:0000:0001", "2001.db8.0.0.0.0.0.1", "2001.0db8", "2001.0DB8" + 6 * ".0000",
     '"2001:db8::1"', 5 * "0000." + "ffff.cb00.7105", 8 * ".", "", '"', "2001.0db8:0000.0000.0000.0000.0000.0001"],
)  # fmt: skip
def test_other_spellings_are_not_ours(key: str) -> None:
    assert address_of(key) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{user}", "the first word is the MTA's action"),
        ("ok{user}", "the first word"),
        ("{expires} {user}", "the first word"),
        ("ok {name}", "{name} is unknown"),
        ("ok {user} {user}", "is there twice"),
        ("ok {", "unmatched brace"),
        ("", "needs printable ASCII"),
        ("ok ", "needs printable ASCII"),
        ("o\nk", "needs printable ASCII"),
        ("x" * 129, "at most 128"),
    ],
)
def test_bad_values_are_named(value: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Template(value)
    assert message in str(caught.value)


@given(
    st.sampled_from(["ok", "OK from {user}", "{expires}", "ok {expires} {user}", "ok x{user}y {expires}z"]),
    st.one_of(st.none(), st.text(max_size=80), st.sampled_from(["{expires}", "REJECT", "-", "a b", "\0"])),
    st.integers(-5, 2**40 - 1),
)
def test_values_are_recognised_and_safe(template: str, user: str | None, expires: int) -> None:
    value = Template(template).render(grant(expires, user), lambda seconds: seconds)
    row = Template(template).parse(value)
    assert row is not None
    assert value.decode() == row.value
    assert row.value.isprintable()
    assert row.value.split(" ")[0] == (str(max(0, expires)) if template == "{expires}" else template.split(" ")[0])
    if "{expires}" in template:
        assert row.expires == max(0, expires)
    if "{user}" in template and user and user != "-" and user.isascii() and user.isprintable() and " " not in user:
        assert row.user == user[:64]


def test_values_of_others_are_not_ours() -> None:
    assert Template("ok").parse(b"ok\0") is None
    assert Template("ok").parse(b"OK") is None
    assert Template("ok {user}").parse(b"ok a b") is None


@pytest.mark.parametrize("name", ["relay", "relay.cdb", "relay.db"])
def test_a_cdb_of_any_name(name: str, tmp_path: Path) -> None:
    """What an MTA opens by its whole name, Exim for one, is that file."""
    spec = parse(f"cdb:{tmp_path}/{name}?suffix=none")
    assert spec.file == tmp_path / name
    with closing(open_table(spec)) as table:
        table.rebuild({"203.0.113.1": grant("203.0.113.1")})
    assert list_rows(spec) == [("203.0.113.1", "ok")]
    assert [file.name for file in tmp_path.iterdir() if "own" not in file.name] == [name]

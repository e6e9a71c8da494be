"""What an administrator names may be anything and hold anything: one line about it, never a hang, never another error.

A running daemon reads these files again on SIGHUP (tests/daemon/test_reload.py does so with a real one).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pbs_fast.config import load, merge
from pbs_fast.errors import ConfigError, FormatError
from pbs_fast.formats.loader import load_format
from pbs_fast.guards.deny import read_deny
from pbs_fast.guards.netblocks import MOST_FILES, MOST_NESTED, read_netblocks
from pbs_fast.matching.site import site_formats
from pbs_fast.util import admin_files
from pbs_fast.util.admin_files import parse_toml, read_admin_file
from pbs_fast.util.postconf import OUTPUT_LIMIT, Postconf
from support.examples import scaled


def read_configuration(path: str) -> object:
    """As a reload reads it."""
    return site_formats(merge(load(path), ()))


READERS: dict[str, Callable[[str], object]] = {
    "configuration": read_configuration,
    "deny list": read_deny,
    "networks": lambda path: read_netblocks([path]),
    "format": lambda path: load_format(Path(path)),
}


def complaint(read: Callable[[str], object], path: str) -> str | None:
    """What is said of a file; None when it is taken."""
    try:
        read(path)
    except (ConfigError, FormatError) as error:
        return str(error)
    return None


DENY = """\
# stolen
[[deny]]
addresses = ["203.0.113.7", "2001:DB8::7"]
networks = ["198.51.100.0/24"]
users = ["Mallory@Example.org", 'eve']
until = 2026-12-24T18:00:00Z
reason = \"\"\"stolen
password\"\"\"
[[deny]]
users = ["eve"]
until = 2026-12-31T00:00:00
"""
CONFIG = """\
grace = 900
watchlog = ["/var/log/mail.log", 'journal:']
mynetworks = ["127.0.0.0/8", "!10.0.0.1"]
value = "ok {user} {expires}"
log_timezone = "UTC"
[guards]
proxies = ["192.0.2.7"]
max_rows = 5
loop = true
[formats.dovecot]
program = ["dovecot-backend"]
[[format]]
name = "ours"
title = "Ours"
versions = "1"
program = ["ours"]
success = ["login ok"]
login = ['login ok user=(?P<user>[^ ]+) ip=(?P<ip>[0-9a-f.:]+)']
"""
#: What is put in somewhere: numbers and dates beyond all bounds, brackets, quotes, long keys, bytes that are no text.
PIECES = (
    b"0001-01-01T00:00:00",
    b"9999-12-31T23:59:59.999999-23:59",
    b"0001-01-01T00:00:00+23:59",
    b"1e999",
    b"-nan",
    b"9" * 5000,
    b"0x" + b"f" * 5000,
    b"-1",
    b"true",
    b'""',
    b"'''",
    b'"""',
    b"[" * 5000,
    b"{a=" * 2000,
    b"a." * 3000 + b"a = 1\n",
    b"x = {" + b"a." * 3000 + b"a = 1}\n",
    b"[" + b"a." * 40 + b"a]\n",
    b"[[deny]]\n",
    b"[guards]\n",
    b"\xff\xfe",
    b"\0",
    b"\xef\xbb\xbf",
    b"\\ud800",
    b"\\U0010ffff",
    b"\r",
    b"=",
    b"#",
    b"until = 2026-01-01\n",
    b"(?P<ip>" * 200,
    b"(?:a+)+",
    b"{1,99999}",
    b"/99999999999999",
    b"!" * 3000,
)


def mutated(text: str, r: random.Random) -> bytes:
    """A text with one to four things put in, taken out or doubled."""
    data = text.encode()
    for _ in range(r.choice([1, 1, 2, 4])):
        at, length = r.randrange(len(data) + 1), r.choice([0, 0, 1, 5, 20])
        choice = r.random()
        if choice < 0.6:
            data = data[:at] + r.choice(PIECES) + data[at + length :]
        elif choice < 0.8:
            data = data[:at] + data[at + length :]
        else:
            data = data[:at] + data[at : at + 60] + data[at:]
    return data


@pytest.mark.parametrize("what", ["deny list", "configuration"])
@pytest.mark.parametrize("seed", range(3))
def test_no_text_raises_anything_but_its_one_line(tmp_path: Path, what: str, seed: int) -> None:
    r = random.Random(seed)
    path = tmp_path / "file.toml"
    # A mutated configuration takes 3 ms.
    text, count = (DENY, 2000) if what == "deny list" else (CONFIG, 500)
    count = scaled(count)
    path.write_text(text)
    READERS[what](str(path))
    refused = taken = 0
    for _ in range(count):
        path.write_bytes(mutated(text, r))
        started = time.process_time()
        said = complaint(READERS[what], str(path))
        assert time.process_time() - started < 10, path.read_bytes()[:200]
        if said is None:
            taken += 1
            continue
        refused += 1
        assert str(path) in said
        assert what == "configuration" or len(said) < 400
    assert refused > count / 2
    assert taken > count / 50


@pytest.mark.parametrize("what", [name for name in READERS if name != "networks"])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"[" * 5_000, "deep"),
        (b"a = " + b"[" * 5_000 + b"]" * 5_000, "deep"),
        (b"a = " + b"[" * 100 + b"]" * 100, "deep"),
        (b"a = " + b"{a=" * 5_000, "deep"),
        (b"a." * 1_000_000 + b"a = 1", "parts"),
        (b"[" + b"a." * 1_000_000 + b"a]", "parts"),
        (b"x = {" + b"a ." * 1_000_000 + b"a = 1}", "parts"),
        (b"a = " + b"9" * 5_000, "digits"),
    ],
)
def test_what_tomllib_does_not_bear(tmp_path: Path, what: str, text: bytes, why: str) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(text)
    started = time.process_time()
    with pytest.raises((ConfigError, FormatError)) as caught:
        READERS[what](str(path))
    assert time.process_time() - started < 5
    assert str(path) in str(caught.value)
    words = {"deep": ("nested too deeply", "invalid"), "parts": (" parts",), "digits": ("4300 digits",)}[why]
    assert what == "format" or any(word in str(caught.value).lower() for word in words)


def test_a_date_that_no_clock_counts_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "deny.toml"
    path.write_text('[[deny]]\nusers = ["eve"]\nuntil = 0001-01-01T00:00:00\n')
    # Where the zone is west of UTC, it is a time like any other, long past.
    said = complaint(read_deny, str(path))
    assert said is None or said.startswith(f"{path}:3: ")


class Kinds:
    """Files of each kind, and what is said of them."""

    def __init__(self, place: Path) -> None:
        self.fifo = place / "fifo"
        os.mkfifo(self.fifo)
        self.large = place / "large"
        with self.large.open("wb") as file:
            file.truncate(1 << 40)
        self.directory = place / "directory"
        self.directory.mkdir()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        yield str(self.fifo), "Not a regular file"
        yield "/dev/zero", "Not a regular file"
        yield "/dev/full", "Not a regular file"
        yield str(self.directory), "Is a directory"
        yield str(self.large), "Larger than 8 MiB"


@pytest.mark.parametrize("what", READERS)
@pytest.mark.timeout(30)
def test_what_is_no_file_of_a_sensible_size_is_refused_at_once(tmp_path: Path, what: str) -> None:
    for path, said in Kinds(tmp_path):
        with pytest.raises((ConfigError, FormatError), match=said) as caught:
            READERS[what](path)
        assert path in str(caught.value)


def test_the_null_device_is_an_empty_file() -> None:
    assert read_admin_file("/dev/null") == b""
    assert load("/dev/null") is not None


def test_a_file_that_grows_while_it_is_read_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc says 0 bytes of files that have some, and a file may be appended to."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    assert read_admin_file(path, 100) == b"x" * 100
    assert read_admin_file("/proc/self/status")
    with pytest.raises(OSError, match="Larger than"):
        read_admin_file(path, 99)
    monkeypatch.setattr(admin_files, "_READ", 10)
    real = os.read

    def growing(fd: int, size: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"y" * 20)
        return real(fd, size)

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(OSError, match="Larger than"):
        read_admin_file(path, 200)


def test_a_good_document_is_as_tomllib_reads_it() -> None:
    text = 'a.b.c = "x.y.z"\n[[deny]]\naddresses = ["10.0.0.1", "10.0.0.2"]\n'
    assert parse_toml(text) == {"a": {"b": {"c": "x.y.z"}}, "deny": [{"addresses": ["10.0.0.1", "10.0.0.2"]}]}


def test_files_of_networks_that_name_each_other_are_bounded(tmp_path: Path) -> None:
    """A chain that is too deep, and one that doubles on each level."""
    for number in range(MOST_NESTED + 2):
        (tmp_path / f"chain{number}").write_text(f"{tmp_path}/chain{number + 1}\n")
        (tmp_path / f"double{number}").write_text(f"{tmp_path}/double{number + 1} {tmp_path}/double{number + 1}\n")
    (tmp_path / f"double{MOST_NESTED - 1}").write_text("10.0.0.0/8\n")
    for name in ("chain0", "double0"):
        with pytest.raises(ConfigError, match=f"at most {MOST_FILES} files, {MOST_NESTED} deep"):
            read_netblocks([str(tmp_path / name)])


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str], str]:
    """Makes a command of a shell script."""

    def make(script: str) -> str:
        path = tmp_path / "postconf"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.timeout(60)
def test_a_command_that_prints_without_end_is_ended(command: Callable[[str], str]) -> None:
    for script in ("exec cat /dev/zero", "exec cat /dev/zero >&2"):
        with pytest.raises(ConfigError, match=f"prints more than {OUTPUT_LIMIT >> 20} MiB"):
            Postconf(command(script)).ask("-h", "mynetworks")


def test_variables_that_multiply_are_bounded(command: Callable[[str], str]) -> None:
    script = """case $2 in
    mynetworks) echo '$a0$a0';;
    a*) echo "\\$a$((${2#a} + 1))\\$a$((${2#a} + 1))";;
    esac"""
    with pytest.raises(ConfigError, match="needs more than 500 variables"):
        Postconf(command(script)).value("mynetworks")

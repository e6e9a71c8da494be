"""deny.toml: what it may hold, and errors that name file, line and the nearest key."""

from __future__ import annotations

from datetime import datetime
from math import inf
from pathlib import Path

import pytest

from pbs_fast.errors import ConfigError
from pbs_fast.guards.deny import DenyList, read_deny

GOOD = """\
# stolen
[[deny]]
addresses = ["203.0.113.7", "2001:DB8::7"]
networks = ["198.51.100.0/24"]
users = ["Mallory@Example.org"]
until = 2026-12-24T18:00:00Z
reason = "stolen password"

[[deny]]
users = ["eve"]
until = 2026-12-31T00:00:00

[[deny]]
networks = ["2001:db8:9::/48"]
"""
CHRISTMAS = 1_798_135_200


def test_a_list(tmp_path: Path) -> None:
    path = tmp_path / "deny.toml"
    path.write_text(GOOD)
    deny = read_deny(str(path))
    new_year = datetime(2026, 12, 31).timestamp()
    first = deny.at(CHRISTMAS - 1)
    assert list(map(str, first.networks)) == ["203.0.113.7", "2001:db8::7", "198.51.100.0/24", "2001:db8:9::/48"]
    assert first.users == {"mallory@example.org", "eve"}
    assert (first.since, first.until) == (-inf, CHRISTMAS)
    second = deny.at(CHRISTMAS)
    assert list(map(str, second.networks)) == ["2001:db8:9::/48"]
    assert (second.users, second.since, second.until) == ({"eve"}, CHRISTMAS, new_year)
    third = deny.at(new_year + 1)
    assert (third.users, third.since, third.until) == (set(), new_year, inf)


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    assert read_deny(str(tmp_path / "none")) == DenyList()
    (tmp_path / "empty").write_text("# nothing\n")
    assert read_deny(str(tmp_path / "empty")) == DenyList()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[deny]]\nadresses = ["203.0.113.7"]', ':2: "adresses" is not a key of [[deny]]; did you mean addresses?'),
        (
            "[[deny]]\nx = 1",
            ':2: "x" is not a key of [[deny]]; did you mean addresses, networks, users, until, reason?',
        ),
        ('\n[[denny]]\nusers = ["a"]', ':2: "denny" is not known here; the file holds [[deny]] tables'),
        ('users = ["a"]', ':1: "users" is not known here; the file holds [[deny]] tables'),
        ('[deny]\nusers = ["a"]', ':1: "deny" must be tables; write [[deny]] above them'),
        ('[[deny]]\nusers = ["a"]\n\n[[deny]]\nreason = "?"', ":4: this [[deny]] denies nothing; give it addresses"),
        ('[[deny]]\naddresses = [\n"203.0.113.7",\n"203.0.113"]', ':4: "203.0.113" is no address and no network'),
        ('[[deny]]\naddresses = ["203.0.113.0/24"]', ':2: "203.0.113.0/24" is a network; put it under networks'),
        ('[[deny]]\nnetworks = ["203.0.113.7/24"]', ':2: "203.0.113.7/24" has bits set after its prefix; write 203'),
        ('[[deny]]\nusers = "a"', ':2: "users" must be a list of texts, such as users = ["…"]'),
        ('[[deny]]\nusers = ["a", 1]', ':2: "users" must be a list of texts'),
        ('[[deny]]\nusers = [""]', ':2: "users" must be a list of texts'),
        ('[[deny]]\nusers = ["a"]\nuntil = 2026-12-24', ':3: "until" must be a date and a time, such as 2026-12-24T18'),
        ('[[deny]]\nusers = ["a"]\nuntil = "now"', ':3: "until" must be a date and a time'),
        ("[[deny]\n", ": Expected ']]' at the end of an array declaration (at line 1, column 7); correct that line"),
    ],
)
def test_errors(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "deny.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        read_deny(str(path))
    assert str(error.value).startswith(f"{path}{message}")
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory; name a file of "):
        read_deny(str(tmp_path))
    (tmp_path / "latin").write_bytes(b"# \xfc\n")
    with pytest.raises(ConfigError, match="byte 2 is not UTF-8; save the file as UTF-8"):
        read_deny(str(tmp_path / "latin"))

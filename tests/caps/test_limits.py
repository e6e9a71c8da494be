"""Which caps hold for whom, and what the configuration may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbs_fast.caps.limits import Cap, Limits, parse_cap
from pbs_fast.caps.windows import Rate
from pbs_fast.config import merge
from pbs_fast.config.model import CapException, Caps, Config
from pbs_fast.config.read import read_file
from pbs_fast.config.show import as_json, as_toml, dump
from pbs_fast.errors import ConfigError, UsageError

EXAMPLE = """\
[caps]
user = ["200/1h", "messages:100/1d"]
address = ["500/1h"]
action = "warn"

[[caps.except]]
users = ["Scanner-Hall3@example.org"]
user = ["5000/1h"]

[[caps.except]]
networks = ["192.0.2.0/24", "2001:db8::/32"]
user = []
address = ["9000/1h"]
"""


def read(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "pbs-fast.toml"
    file.write_text(text)
    return merge(read_file(str(file)), ()).config


def limits(caps: Caps) -> Limits:
    return Limits(caps.user, caps.address, caps.action, caps.revoke_after, caps.exceptions)


def test_a_cap_is_written_and_spelled() -> None:
    assert parse_cap("user", "200/1h") == Cap("user", Rate(200, 3_600))
    assert parse_cap("address", "messages:5/1d").name == "address messages:5/1d"
    words = [parse_cap("user", text).words(3) for text in ("200/1h", "messages:9/1d", "9/90s", "9/2h", "9/1m")]
    assert words == [
        "3 of 200 recipients in an hour",
        "3 of 9 messages in a day",
        "3 of 9 recipients in 90 seconds",
        "3 of 9 recipients in 2 hours",
        "3 of 9 recipients in a minute",
    ]


def test_the_first_exception_that_fits_decides(tmp_path: Path) -> None:
    found = limits(read(tmp_path, EXAMPLE).caps)
    general, own = ["200/1h", "messages:100/1d"], ["5000/1h"]
    for name, address, of_user, of_address in [
        ("anna@example.org", "198.51.100.1", general, ["500/1h"]),
        ("scanner-hall3@example.org", "198.51.100.1", own, ["500/1h"]),
        ("scanner-hall3@example.org", "192.0.2.9", own, ["9000/1h"]),
        ("anna@example.org", "192.0.2.9", [], ["9000/1h"]),
        ("anna@example.org", "2001:db8::1", [], ["9000/1h"]),
    ]:
        assert [cap.written for cap in found.of_user(name, address)] == of_user
        assert [cap.written for cap in found.of_address(address)] == of_address
    assert set(found.caps) == {
        "user 200/1h", "user messages:100/1d", "user 5000/1h", "address 500/1h", "address 9000/1h",
    }  # fmt: skip
    twice = [CapException(users=("a",), user=("1/1h",)), CapException(users=("A",), user=("2/1h",))]
    assert [cap.written for cap in Limits(exemptions=twice).of_user("a", "192.0.2.1")] == ["1/1h"]
    assert found
    assert not Limits()


def test_what_is_shown_is_read_again(tmp_path: Path) -> None:
    config = read(tmp_path, EXAMPLE)
    settings = merge(read_file(str(tmp_path / "pbs-fast.toml")), ())
    again = tmp_path / "again.toml"
    again.write_text(as_toml(settings))
    assert merge(read_file(str(again)), ()).config == config
    assert '"user": []' in as_json(settings)
    assert "caps.except.users: Scanner-Hall3@example.org\n" in dump(settings)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[caps]\nuser = ["200"]', 2, 'caps.user must be a list of at most 6 rates, such as ["200/1h"'),
        ('[caps]\nuser = ["5/10s"]', 2, "caps.user must be a list"),
        ('[caps]\nuser = ["5/31d"]', 2, "caps.user must be a list"),
        ('[caps]\nuser = ["5/1h", "5/1h"]', 2, "caps.user must be a list of at most 6 rates"),
        ('[caps]\naction = "refuse"', 2, "caps.action must be one of defer, warn, hold"),
        ("[caps]\nexept = []", 2, 'unknown key "caps.exept"; nearest: "[[caps.except]]"'),
        ("[caps]\nexcept = 3", 2, "caps.except must be tables, each written [[caps.except]]"),
        ('[[caps.except]]\nuser = ["5/1h"]', 1, "[[caps.except]] must name users or networks"),
        ('[[caps.except]]\nusers = ["a"]', 1, "[[caps.except]] must have user or address"),
        ('[[caps.except]]\nusers = ["a"]\naddress = ["5/1h"]', 1, "[[caps.except]] with address must name networks"),
        ('[[caps.except]]\nusers = ["a"]\nuser = ["x"]', 3, "caps.except.user must be a list of at most 6 rates"),
        (
            '[[caps.except]]\nnetwork = ["192.0.2.0/24"]',
            2,
            'unknown key "caps.except.network"; nearest: "caps.except.networks"',
        ),
        ('[[caps.except]]\nnetworks = ["192.0.2.1/24"]', 2, "caps.except.networks must be"),
    ],
)
def test_a_fault_is_one_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(f"{tmp_path}/pbs-fast.toml:{line}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_what_cannot_happen_is_refused_and_what_hardly_can_is_warned_of() -> None:
    with pytest.raises(UsageError, match=r"caps\.revoke_after needs a cap of a login"):
        Limits((), ("5/1h",), revoke_after=3)
    with pytest.raises(UsageError, match="refuses nothing"):
        Limits(("5/1h",), (), "warn", 3)
    Limits((), (), revoke_after=3, exemptions=[CapException(users=("a",), user=("5/1h",))])
    assert Limits(("200/1h", "1000/1d"), ("500/1h",)).warnings() == []
    assert Limits(("200/1h", "messages:300/1d")).warnings() == []
    assert Limits(("200/1h", "100/1d")).warnings() == [
        "[caps]: user 200/1h is never reached, because user 100/1d comes first"
    ]
    assert Limits(("200/1h",), ("200/1h",)).warnings() == [
        "[caps]: user 200/1h is never reached, because address 200/1h comes first"
    ]

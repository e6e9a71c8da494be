"""Where hubs are and how they know us: URLs, secrets and their files, and what a refusal tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbs_fast.config.read import read_file
from pbs_fast.errors import ConfigError
from pbs_fast.share.spec import Secrets, parse_hub, read_secrets

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


@pytest.mark.parametrize(
    ("text", "tls", "user", "place", "database"),
    [
        ("valkeys://pop1@10.0.0.11:6380", True, "pop1", "10.0.0.11:6380", 0),
        ("redis://hub.example.org/3", False, None, "hub.example.org:6379", 3),
        ("rediss://a%40b@[2001:db8::1]", True, "a@b", "[2001:db8::1]:6379", 0),
        ("unix://pop1@/run/valkey/hub.sock", False, "pop1", "/run/valkey/hub.sock", 0),
    ],
)
def test_urls(text: str, tls: bool, user: str | None, place: str, database: int) -> None:
    found = parse_hub(text)
    assert (found.text, found.tls, found.user, found.place, found.database) == (text, tls, user, place, database)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.11",
        "http://10.0.0.11",
        "valkeys://pop1:secret@10.0.0.11",
        "valkey://",
        "valkey://10.0.0.11:99999",
        "valkey://10.0.0.11/x",
        "valkey://10.0.0.11?db=1",
        "valkey://[10.0.0.11",
        "valkey://a b",
        "unix://run/hub.sock",
        "unix://",
    ],
)
def test_what_is_no_url(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several functions; the words are those of the Kind
        parse_hub(text)
    file = tmp_path / "pbs.toml"
    file.write_text(f'share.hubs = ["{text}"]\n')
    with pytest.raises(
        ConfigError, match=r"pbs\.toml:1: share\.hubs must be a list of URLs without passwords"
    ) as error:
        read_file(str(file))
    assert "secret@" not in str(error.value) or "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('share.node = "a b"', "share.node must be a name of at most 63"),
        ('share.from = ["*", "pop1"]', "share.from must be a list of names of nodes"),
        ('share.from = ["a:b"]', 'one is "a:b"'),
        ("share.longest = 0", "share.longest must be"),
        ('share.hubs = ["valkey://a", "valkey://a"]', "each once"),
        ('share.frmo = "x"', 'unknown key "share.frmo"; nearest: "share.from"'),
    ],
)
def test_mistakes_in_the_configuration(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "pbs.toml"
    file.write_text(f"{line}\n")
    with pytest.raises(ConfigError) as error:
        read_file(str(file))
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def written(place: Path, name: str, content: str, mode: int = 0o600) -> Path:
    file = place / name
    file.touch(mode)
    file.chmod(mode)
    file.write_text(content)
    return file


def test_secrets_are_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    file = written(tmp_path, "share.secret", f"{KEY}\n")
    assert read_secrets(str(file)) == Secrets((KEY.encode(),), None)
    written(tmp_path, "share.secret.old", f"old-{KEY}")
    written(tmp_path, "hub.password", "pass word\n")
    assert read_secrets(str(file)) == Secrets((KEY.encode(), f"old-{KEY}".encode()), "pass word")
    assert read_secrets("share.secret", str(tmp_path / "pbs-fast.toml")) == read_secrets(str(file))


@pytest.mark.parametrize("name", ["share.secret", "share.secret.old", "hub.password"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_files_that_others_may_use_are_refused(tmp_path: Path, name: str, mode: int) -> None:
    file = written(tmp_path, "share.secret", KEY)
    written(tmp_path, name, KEY, mode)
    with pytest.raises(ConfigError, match=rf"{name}: its mode 0{mode:o} lets others use it; chmod 0600"):
        read_secrets(str(file))


def test_credentials_of_the_unit_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials, beside = tmp_path / "credentials", tmp_path / "etc"
    credentials.mkdir()
    beside.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    written(credentials, "share.secret", KEY, 0o440)  # systemd's own mode, with an ACL
    written(beside, "share.secret", f"other-{KEY}")
    written(beside, "hub.password", "pw")
    assert read_secrets("share.secret", str(beside / "pbs-fast.toml")) == Secrets((KEY.encode(),), "pw")


@pytest.mark.parametrize(
    ("content", "words"), [("short", "has 16 to 4096 bytes, not 5"), ("", "not 0"), ("x" * 5000, "Larger than 4 KiB")]
)
def test_what_is_no_secret(tmp_path: Path, content: str, words: str) -> None:
    file = written(tmp_path, "share.secret", content)
    with pytest.raises(ConfigError) as error:
        read_secrets(str(file))
    assert words in str(error.value)


def test_without_a_secret(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"share\.secret: there is no .*; make one \(openssl rand -hex 32, mode 0600\)"
    ):
        read_secrets("share.secret", str(tmp_path / "pbs-fast.toml"))
    file = written(tmp_path, "share.secret", KEY)
    written(tmp_path, "hub.password", "a\nb")
    with pytest.raises(ConfigError, match=r"hub\.password: a password is one line of printable text"):
        read_secrets(str(file))

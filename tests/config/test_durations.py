"""Durations: one way to write them, in each option, key and table option that is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.cli import main, options
from pbs_fast.config import KEYS, Given, load, merge
from pbs_fast.errors import PbsError
from pbs_fast.tables.file.command import time_limit
from pbs_fast.tables.registry import parse
from pbs_fast.util.durations import exact, parse_duration, rough, written

#: Text -> seconds; None: no duration.
WORDS: dict[str, int | None] = {
    "90": 90, "090": 90, "90s": 90, "30m": 1800, "24h": 86_400, "7d": 604_800, "1w": 604_800, "1h30m": 5400,
    "1d12h": 129_600, "1w2d3h4m5s": 788_645, "0": 0, "0m": 0,
    "": None, "m": None, "30 m": None, " 30m": None, "30m ": None, "1m1h": None, "1h1h": None, "1h30": None,
    "1.5h": None, "-1h": None, "+1h": None, "1H": None, "1_0m": None, "1min": None, "\u0663m": None, "9" * 19: None,
    "soon": None, "30m\n": None,
}  # fmt: skip


def from_toml(key: str) -> Callable[[str, Path], object]:
    def read(text: str, place: Path) -> object:
        file = place / "pbs-fast.toml"
        file.write_text(f"{key} = {json.dumps(text)}\n")
        config = merge(load(str(file)), ()).config
        return attrgetter(key)(config)

    return read


def from_option(key: str) -> Callable[[str, Path], object]:
    return lambda text, _: getattr(merge(None, [Given(f"--{key}", key, text)]).config, key)


DURATIONS = [name for name, key in KEYS.items() if "duration" in key.kind.allowed]
READERS: dict[str, Callable[[str, Path], object]] = {
    **{f"key {name}": from_toml(name) for name in DURATIONS},
    **{f"option {name}": from_option(name) for name in DURATIONS if "." not in name},
    "a table's timeout": lambda text, _: time_limit(parse(f"text:/x?command=/bin/true&timeout={text}")),
    "an option of one command": lambda text, _: options.duration(1, 3650 * 86_400)(text),
}
#: What some of them take at most, in seconds, and at least.
LIMITS = {"a table's timeout": (1, 30), "an option of one command": (1, 3650 * 86_400)}


def test_the_keys_that_are_durations() -> None:
    assert set(DURATIONS) >= {"grace", "max_session"}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", WORDS)
def test_all_of_them_read_the_same_words(reader: str, text: str, tmp_path: Path) -> None:
    seconds = WORDS[text]
    low, high = LIMITS.get(reader, (60 if "max_session" in reader else 1, 30 * 86_400))
    if seconds is not None and low <= seconds <= high:
        assert READERS[reader](text, tmp_path) == seconds
        return
    with pytest.raises(Exception, match="must be seconds or a duration like 30m, 24h, 7d or 1h30m, from 1") as caught:
        READERS[reader](text, tmp_path)
    assert isinstance(caught.value, PbsError) or "BadParameter" in type(caught.value).__name__


def test_commands_name_their_option(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--grace=1x", "/nowhere"]) == 2
    line = capfd.readouterr().err
    assert line == (
        "pbs-fast bench: --grace: must be seconds or a duration like 30m, 24h, 7d or 1h30m, from 1s to 3650d,"
        " not '1x'\n"
    )


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_again(seconds: int) -> None:
    assert parse_duration(written(seconds)) == seconds
    assert parse_duration(str(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.04, "0 s"), (0.42, "0.4 s"), (3, "3 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min"),
        (60, "1 min"), (90, "1 min 30 s"), (1264, "21 min 4 s"), (3600, "1 h"), (273_600, "3 d 4 h"), (86_401, "1 d"),
        (-3, "0 s"),
    ],
)  # fmt: skip
def test_in_words(seconds: float, text: str) -> None:
    assert exact(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(90, "90 s"), (119, "119 s"), (120, "2 min"), (1645, "27 min")])
def test_roughly(seconds: float, text: str) -> None:
    assert rough(seconds) == text

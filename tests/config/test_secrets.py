"""No message about a wrong value repeats a password in it: messages go into logs that others may read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbs_fast.config import Given, load, merge
from pbs_fast.errors import ConfigError, UsageError

URLS = [
    "valkey://pop1:geheim@10.0.0.11:6379",
    "valkeys://:geheim@hub",
    "redis://pop1:ge/geheim@hub",
    "redis://pop1:ge@geheim@hub",
    "rediss://pop1@hub?password=geheim",
    "unix://pop1:geheim@/run/hub.sock",
    f"valkey://pop1:{'geheim' * 50}@hub",
    "http://pop1:geheim@hub",
]


@pytest.mark.parametrize("url", URLS)
def test_a_refused_hub_is_shown_without_its_password(tmp_path: Path, url: str) -> None:
    file = tmp_path / "pbs-fast.toml"
    for value in (url, ["valkey://hub1", url], {"url": url}):
        text = json.dumps(value) if not isinstance(value, dict) else f'{{url = "{url}"}}'
        file.write_text(f"[share]\nhubs = {text}\n")
        with pytest.raises(ConfigError) as caught:
            load(str(file))
        assert "geheim" not in str(caught.value)
    with pytest.raises(UsageError) as refused:
        merge(None, [Given("--hub", "share.hubs", url)])
    assert "geheim" not in str(refused.value)

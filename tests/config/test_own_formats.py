"""`[[format]]` in a configuration: kept as written, shown as a file that means the same, each key with its line."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pbs_fast.config import load, merge
from pbs_fast.config.show import as_json, as_toml, dump

TEXT = """\
grace = 600

[[format]]
name = "mine"
program = ["mypop"]
success = [
  'hello "x\\',
  "tab\\there",
]
login = ['login of {user} from {ip}']

[format.session]
address = ['from {ip}']

[[format.sample]]
kind = "login"

[[format]]
name = "other"
cut = 200
"""


def test_tables_with_where_each_key_stands(tmp_path: Path) -> None:
    file = tmp_path / "pbs.toml"
    file.write_text(TEXT)
    settings = merge(load(str(file)), ())
    first, second = settings.config.format
    assert first.keys["program"] == ["mypop"]
    assert second.keys == {"name": "other", "cut": 200}
    assert [first.where(), first.where("login"), first.where("address", "session"), second.where("cut")] == [
        f"{file}:{line}" for line in (3, 10, 13, 20)
    ]
    assert first.where("nowhere") == f"{file}:3"
    assert settings.origin("format") == f"{file}:3"


def test_what_is_shown_is_a_file_that_means_the_same(tmp_path: Path) -> None:
    file, shown = tmp_path / "pbs.toml", tmp_path / "shown.toml"
    file.write_text(TEXT)
    settings = merge(load(str(file)), ())
    shown.write_text(as_toml(settings))
    again = merge(load(str(shown)), ())
    assert [each.keys for each in again.config.format] == tomllib.loads(TEXT)["format"]
    assert again.config.grace == 600
    assert json.loads(as_json(settings))["keys"]["format"]["value"] == tomllib.loads(TEXT)["format"]
    assert [line for line in dump(settings).splitlines() if line.startswith("format:")] == [
        "format: mine",
        "format: other",
    ]

"""docs/status.schema.json: what `status --json` prints; generated, and held against replies."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from cli import replies

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "status.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text())
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "null": (type(None),)
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], where: str = "$") -> list[str]:
    """What of a value the schema forbids; only the words of JSON Schema that ours uses."""
    if "anyOf" in schema:
        return [] if any(not faults(value, one) for one in schema["anyOf"]) else [f"{where}: {value!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{where}: {value!r}"]
    if schema["type"] == "array":
        if not isinstance(value, list):
            return [where]
        return [fault for n, item in enumerate(value) for fault in faults(item, schema["items"], f"{where}[{n}]")]
    if schema["type"] == "object":
        if not isinstance(value, dict):
            return [where]
        wrong = [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            wrong += faults(item, inner, f"{where}.{name}") if inner is not None else []
        return wrong
    right = isinstance(value, _TYPES[schema["type"]]) and (schema["type"] == "boolean" or not isinstance(value, bool))
    return [] if right else [f"{where}: {value!r}"]


def test_the_file_is_what_the_type_says() -> None:
    made = runpy.run_path(str(ROOT / "packaging" / "make_schema.py"))
    assert FILE.read_text() == made["text"](), "run packaging/make_schema.py"


def test_a_reply_is_what_the_schema_says() -> None:
    assert faults(replies.status(), SCHEMA) == []
    assert faults(replies.status(a_later_key=1), SCHEMA) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"pid": "812"}, "$.pid: '812'"),
        ({"ready": 1}, "$.ready: 1"),
        ({"turned_s": None}, "$.turned_s: None"),
        ({"rows": {}}, "$.rows.hub is missing"),
        ({"refused": {"deny": "x"}}, "$.refused.deny: 'x'"),
        ({"logs": [{**replies.STATUS["logs"][0], "state": "lost"}]}, "$.logs[0].state: 'lost'"),
        ({"caps": 3}, "$.caps: 3"),
    ],
)
def test_another_reply_is_not(changed: dict[str, Any], fault: str) -> None:
    assert fault in faults(replies.status(**changed), SCHEMA)


def test_the_keys_of_version_1_stay() -> None:
    """Scripts read these; a key may be added, none may go."""
    assert set(SCHEMA["properties"]) >= {
        "v", "version", "pid", "started", "now", "ready", "turned_s", "core", "node", "rows", "sessions_open", "logs",
        "tables", "hubs", "nodes", "caps", "denials", "outcomes", "refused", "notices",
    }  # fmt: skip
    assert set(SCHEMA["properties"]["logs"]["items"]["properties"]) >= {
        "name", "state", "lines", "lines_per_s", "behind_bytes", "last_line", "last_login", "logins", "missed",
        "faults", "drift", "coverage",
    }  # fmt: skip

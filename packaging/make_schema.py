"""Writes docs/status.schema.json, the JSON Schema (draft 2020-12) of `pbs-fast status --json`, from its type.

    .venv/bin/python packaging/make_schema.py

A test holds the file to it. Within version 1 keys are only ever added, so further ones are allowed.
"""

from __future__ import annotations

import json
import types
import typing
from pathlib import Path
from typing import Any

from pbs_fast.control.replies import Status

FILE = Path(__file__).parents[1] / "docs" / "status.schema.json"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema() -> dict[str, Any]:
    """The schema of the answer to `status`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pbs-fast status --json",
        "description": (
            "Times are RFC 3339 in UTC with milliseconds; keys that end in _s are seconds; counters count since the "
            "daemon's start. Within version 1 keys are only ever added."
        ),
        **_of(Status),
    }


def _of(kind: Any) -> dict[str, Any]:
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind)
        return {
            "type": "object",
            "properties": {name: _of(each) for name, each in hints.items()},
            "required": sorted(kind.__required_keys__),
        }
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(each) for each in arguments]}
    raise SystemExit(f"make_schema.py: no schema for {kind}")


def text() -> str:
    """The file's text."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())

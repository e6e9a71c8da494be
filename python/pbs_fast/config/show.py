"""The configuration in force as text: TOML with its sources as comments, JSON, and the old program's dump."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pbs_fast.config.keys import (
    CAP_EXCEPTIONS,
    EXCEPTION_KEYS,
    OWN_FORMATS,
    TABLES,
    Key,
    find_key,
    keys_of,
    value_of,
    values_of,
)
from pbs_fast.config.model import CapException, Config
from pbs_fast.config.settings import Settings, default_log, logs, why_default
from pbs_fast.util.text import printable

#: Comments that say where a value comes from begin here, so they can be read as a column.
_COLUMN = 44


def as_toml(settings: Settings, tables: Sequence[str] = ()) -> str:
    """A complete configuration file that means the same, with what each key is for and where its value comes from.

    A key that is not set is shown as a comment. What is followed and written, chosen by the daemon where nothing else
    says it, is in comments at the beginning; `tables` are those with why they are of their type.
    """
    out = [f"# configuration file: {_comment(settings.file or 'none')}\n"]
    out += [f"# follows: {_comment(each)}\n" for each in _followed(settings.config)]
    out += [f"# writes: {_comment(each)}\n" for each in tables]
    table = ""
    for name, value in values_of(settings.config).items():
        if name in (OWN_FORMATS, CAP_EXCEPTIONS):
            continue
        key = find_key(name)
        prefix, _, last = name.rpartition(".")
        if prefix != table:
            table = prefix
            out.append(f"\n[{prefix}]\n")
        out.append(_line(key, last, value, settings.origin(name)))
    out += [f"\n[[{CAP_EXCEPTIONS}]]\n{_table(each, '')}" for each in _exceptions(settings.config)]
    out += [
        f"\n[[format]] # {_comment(each.where())}\n{_table(each.keys, 'format')}" for each in settings.config.format
    ]
    return "".join(out)


def _followed(config: Config) -> Sequence[str]:
    return config.watchlog or (why_default(default_log()),)


def _exceptions(config: Config) -> list[dict[str, object]]:
    """The keys of each `[[caps.except]]` that are set."""

    def keys(of: CapException) -> dict[str, object]:
        found = {name: getattr(of, name) for name in EXCEPTION_KEYS}
        return {
            name: list(value) for name, value in found.items() if value or (name in ("user", "address") and value == ())
        }

    return [keys(each) for each in config.caps.exceptions]


def _table(keys: Mapping[str, Any], name: str) -> str:
    """The keys of a table with what is in it, as TOML."""
    values = {key: value for key, value in keys.items() if not _is_table(value)}
    text = "".join(f"{key} = {toml_value(value)}\n" for key, value in values.items())
    for key, value in keys.items():
        if isinstance(value, dict):
            text += f"\n[{name}.{key}]\n{_table(value, f'{name}.{key}')}"
        elif _is_table(value):
            text += "".join(f"\n[[{name}.{key}]]\n{_table(each, f'{name}.{key}')}" for each in value)
    return text


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _line(key: Key, last: str, value: object, origin: str) -> str:
    setting = f"# {last} is not set" if value is None else f"{last} = {toml_value(value)}"
    return f"\n# {key.doc}\n{setting:<{_COLUMN}} # {_comment(origin)}\n"


def toml_value(value: object) -> str:
    """A value of the configuration as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    escaped = re.sub(r'["\\]', r"\\\g<0>", text)
    # What a terminal might obey is escaped too, in TOML's way: `config` is read on one.
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'


def _comment(text: str) -> str:
    """A text inside a comment, where control characters are not allowed; a file's name may hold anything."""
    return printable(text)


def as_json(settings: Settings, tables: Sequence[str] = ()) -> str:
    """One object: `file`, `follows`, `writes`, and `keys`: dotted key -> `value` and `from`."""
    values = values_of(settings.config)
    if CAP_EXCEPTIONS in values:
        values[CAP_EXCEPTIONS] = _exceptions(settings.config)
    if OWN_FORMATS in values:
        values[OWN_FORMATS] = [each.keys for each in settings.config.format]
    keys = {name: {"value": value, "from": settings.origin(name)} for name, value in values.items()}
    head = {"file": settings.file, "follows": logs(settings.config), "writes": tables}
    return json.dumps({**head, "keys": keys}, indent=2) + "\n"


def dump(settings: Settings, tables: Sequence[str] = ()) -> str:
    """The text of `--dumpconfig`: the old program's lines first, then ours.

    `tables` are the specs with their types as chosen, `dbfile`'s first, where the caller has had them chosen.
    """
    config = settings.config
    rows = [("config file", settings.file or "none")]
    rows += [("watchlog", log) for log in logs(config)]
    rows.append(("dbfile", config.dbfile))
    if config.logto is not None:
        rows.append(("logto", config.logto))
    rows += [("table", spec) for spec in tables or config.tables]
    shown_above = {"watchlog", "dbfile", "logto", "table"}
    rows += [(key.name, _plain(getattr(config, key.name))) for key in keys_of(Config) if key.name not in shown_above]
    for name, model in TABLES.items():
        rows += [(f"{name}.{key.name}", _plain(value_of(getattr(config, name), key))) for key in keys_of(model)]
    rows += [
        (f"{CAP_EXCEPTIONS}.{name}", _plain(tuple(value)))
        for each in _exceptions(config)
        for name, value in each.items()
        if isinstance(value, list)
    ]
    rows += [("format", str(each.keys.get("name", "without a name"))) for each in config.format]
    rows += [(f"formats.{name}.program", ", ".join(tags)) for name, tags in config.program_tags.items()]
    return "".join(f"{name}: {value}\n" for name, value in rows)


def _plain(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)

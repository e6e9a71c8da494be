"""The fields of the model as keys with dotted names: what file, options, man page and example go over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from keyword import iskeyword
from types import MappingProxyType
from typing import NamedTuple

from pbs_fast.config.kinds import Kind
from pbs_fast.config.model import CapException, Caps, Config, Control, FormatKeys, Guards, JsonKeys, Metrics, Share

#: The one key whose value is a list of tables, `[[format]]`.
OWN_FORMATS = "format"
#: The key of a nested table whose value is a list of tables, `[[caps.except]]`.
CAP_EXCEPTIONS = "caps.except"


class Key(NamedTuple):
    """One key of the model."""

    name: str
    """Dotted, as `guards.max_rows`."""
    kind: Kind
    default: object
    doc: str


def keys_of(model: type, prefix: str = "") -> Iterator[Key]:
    """The keys that are fields of one dataclass of the model, without those of nested tables."""
    for each in fields(model):
        if "kind" in each.metadata:
            # `from` is a word of Python; the field is `from_`.
            yield Key(prefix + each.name.rstrip("_"), each.metadata["kind"], each.default, each.metadata["doc"])


#: The nested tables with a fixed name, each a field of Config, in the order in which they are shown.
TABLES: Mapping[str, type[Control] | type[Metrics] | type[Share] | type[Guards] | type[Caps] | type[JsonKeys]] = (
    MappingProxyType(
        {"control": Control, "metrics": Metrics, "share": Share, "guards": Guards, "caps": Caps, "json": JsonKeys}
    )
)
#: Each key with a fixed name, in the order in which they are shown.
KEYS: Mapping[str, Key] = MappingProxyType(
    {
        key.name: key
        for key in (*keys_of(Config), *(key for name, model in TABLES.items() for key in keys_of(model, f"{name}.")))
    }
)
#: The keys that a `[formats.NAME]` may hold, by their name in it.
FORMAT_KEYS: Mapping[str, Key] = MappingProxyType({key.name: key for key in keys_of(FormatKeys)})
#: The keys of a `[[caps.except]]`.
EXCEPTION_KEYS: Mapping[str, Key] = MappingProxyType({key.name: key for key in keys_of(CapException)})


def find_key(name: str) -> Key:
    """The key of a dotted name, those of formats included; raises KeyError."""
    if name.startswith("formats."):
        _, format_name, last = name.split(".")
        return FORMAT_KEYS[last]._replace(name=f"formats.{format_name}.{last}")
    return KEYS[name]


def build(values: Mapping[str, object]) -> Config:
    """The Config of checked values by dotted name; a key without a value has its default."""
    top: dict[str, object] = {}
    tables: dict[str, dict[str, object]] = {name: {} for name in TABLES}
    formats: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        table, _, rest = name.partition(".")
        if not rest:
            top[name] = value
        elif name == CAP_EXCEPTIONS:
            tables[table]["exceptions"] = value
        elif table in tables:
            tables[table][_field(rest)] = value
        else:
            format_name, _, last = rest.partition(".")
            formats.setdefault(format_name, {})[last] = value
    return Config(
        **top,  # type: ignore[arg-type]  # each value came through its key's Kind
        **{name: model(**tables[name]) for name, model in TABLES.items()},  # type: ignore[arg-type]
        formats=MappingProxyType({name: FormatKeys(**keys) for name, keys in formats.items()}),  # type: ignore[arg-type]
    )


def value_of(table: object, key: Key) -> object:
    """The value of one key of a table of the model."""
    return getattr(table, _field(key.name))


def _field(key: str) -> str:
    return f"{key}_" if iskeyword(key) else key


def values_of(config: Config) -> dict[str, object]:
    """The value of each key by dotted name: what `build` takes."""
    values = {key.name: getattr(config, key.name) for key in keys_of(Config)}
    for name, model in TABLES.items():
        values |= {f"{name}.{key.name}": value_of(getattr(config, name), key) for key in keys_of(model)}
    if config.caps.exceptions:
        values[CAP_EXCEPTIONS] = config.caps.exceptions
    for name, keys in config.formats.items():
        values |= {f"formats.{name}.{key.name}": getattr(keys, key.name) for key in keys_of(FormatKeys)}
    if config.format:
        values[OWN_FORMATS] = config.format
    return values

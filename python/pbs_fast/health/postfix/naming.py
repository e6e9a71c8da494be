"""Where a restriction list names one of our tables, and whether it names it rightly. Pure but for `realpath`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pbs_fast.health.postfix.restrictions import BY_CLIENT, BY_POLICY, Restriction, split
from pbs_fast.tables.registry import TableSpec

#: Our types that Postfix reads; a table with Exim's keys is not for it.
TYPES: Final = ("hash", "btree", "lmdb", "cdb", "socketmap", "policy")
#: Types whose value is made of other tables (unionmap(5) and so on): what comes of an answer cannot be told.
_COMPOSED = ("unionmap:", "pipemap:")


class Naming(NamedTuple):
    """One of our tables, as a configuration of Postfix names it."""

    spec: TableSpec
    written: str
    """The words there."""
    proxied: bool = False
    """Asked through Postfix's proxymap(8)."""
    fault: str = ""
    """Why Postfix asks something else than our table; "" where it asks ours."""
    composed: bool = False
    """Named within a table that is made of others."""


def for_postfix(specs: Iterable[TableSpec]) -> list[TableSpec]:
    """The tables that Postfix can ask, each once."""
    return [spec for spec in dict.fromkeys(specs) if spec.type in TYPES and spec.option("keys") != "exim"]


@dataclass(frozen=True, slots=True)
class Names:
    """Recognises our tables in the words of one installation."""

    specs: Sequence[TableSpec]
    redirected: str = ""
    """The type that Postfix 3.11 opens in place of hash and btree (`non_bdb_migration_level`); "" for none."""
    queue: str = ""
    """Its `queue_directory`, from which it takes relative paths of sockets."""

    @classmethod
    def of(cls, specs: Sequence[TableSpec], settings: Mapping[str, str]) -> Names:
        """As the settings of an installation have it."""
        enabled = settings.get("non_bdb_migration_level", "").startswith("enable")
        redirected = settings.get("default_database_type", "") if enabled else ""
        return cls(specs, redirected, settings.get("queue_directory", ""))

    def find(self, text: str) -> Naming | None:
        """Our table in the argument of a restriction, or in a word of mynetworks."""
        if text.startswith(_COMPOSED):
            inner = next((spec for spec in self.specs if str(spec) in text), None)
            return None if inner is None else Naming(inner, text, composed=True)
        plain = text
        while plain.startswith("proxy:"):
            plain = plain.removeprefix("proxy:")
        found: Naming | None = None
        for spec in self.specs:
            fault = self._fault(plain, spec)
            if fault is None or (found is not None and fault):
                continue
            found = Naming(spec, text, plain != text, fault)
        return found

    def asked(self, restriction: Restriction) -> Naming | None:
        """Our table where a restriction asks it for the client, as it has to; None also where it is named wrongly."""
        if restriction.name == BY_POLICY:
            return self.policy(restriction.argument)
        if restriction.name != BY_CLIENT:
            return None
        naming = self.find(restriction.argument)
        return naming if naming is not None and not naming.fault and not naming.composed else None

    def policy(self, clause: str) -> Naming | None:
        """Our policy service in the argument of `check_policy_service`."""
        endpoint = self._absolute(clause_endpoint(clause))
        for spec in self.specs:
            if spec.type == "policy" and endpoint == self._absolute(spec.address):
                return Naming(spec, clause)
        return None

    def _absolute(self, endpoint: str) -> str:
        """A Unix socket by its whole path."""
        kind, _, path = endpoint.partition(":")
        return f"unix:{os.path.join(self.queue, path)}" if kind == "unix" else endpoint  # noqa: PTH118 - text

    def _fault(self, text: str, spec: TableSpec) -> str | None:
        """Why `text` is not quite the table; "" where it is, None where it is another one altogether."""
        kind, colon, place = text.partition(":")
        if not colon:
            return None
        if spec.path is None:
            return "" if text == str(spec) else None
        if not place.startswith("/"):
            return None
        suffix = spec.suffix or ""
        real, ours = os.path.realpath(place), os.path.realpath(spec.path)
        if suffix and real == os.path.realpath(f"{spec.path}{suffix}"):
            return f"Postfix appends {suffix} itself: write {spec}"
        if real != ours:
            return None
        opened = self.redirected if self.redirected and kind in ("hash", "btree") else kind
        return "" if opened == spec.type else f"pbs-fast writes {spec}, not {kind}:"


def clause_inner(clause: str) -> str:
    """A clause without the braces around it."""
    return clause[1:-1] if clause.startswith("{") and clause.endswith("}") else clause


def clause_endpoint(clause: str) -> str:
    """Where `check_policy_service` asks: the first word of its clause."""
    return next(iter(split(clause_inner(clause))), "")

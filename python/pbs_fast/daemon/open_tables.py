"""Opens the tables of a configuration, those that are answered on the sockets that systemd handed over."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from socket import socket
from typing import TYPE_CHECKING

from pbs_fast.daemon.left_tables import LeftTables
from pbs_fast.errors import PbsError
from pbs_fast.tables import Table, TableOptions, TableSpec, open_table
from pbs_fast.tables.protocol import AnsweringTable
from pbs_fast.tables.served.endpoint import parse as parse_endpoint
from pbs_fast.tables.untyped import choose

if TYPE_CHECKING:
    from pbs_fast.caps.decision import Caps
    from pbs_fast.config import Config
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)

#: Seconds after which a thread that computes must let another one go on, where a table is answered: an MTA waits for
#: our answer, and by default that may take 5 ms for the GIL alone (benches/policy.py).
SWITCH = 0.0005


def left_tables(tables: Sequence[Table], config: Config) -> LeftTables | None:
    """Empties the tables that an earlier configuration left; None if nothing is written."""
    options = TableOptions(value=config.value, flock=config.flock)
    specs = [choose(text, config.postconf).spec for text in config.tables] if tables else []
    if not specs:
        return None
    left = LeftTables(specs, options, config.grace)
    left.name_old_program()
    return left


def open_tables(config: Config, clock: Clock, caps: Caps, handed: dict[str, socket] | None = None) -> list[Table]:
    """The tables of the configuration, each once. Raises TableError or UsageError, and then none is open.

    Of the sockets that systemd handed over, those where a table is served are taken out of `handed`.
    """
    options = TableOptions(
        value=config.value,
        flock=config.flock,
        adopt=config.adopt,
        grace=config.grace,
        wall=clock.to_wall,
        now=clock.now,
        clock=clock.wall,
        caps=caps,
    )
    opened: list[Table] = []
    seen = set()
    try:
        for text in config.tables:
            spec, reason = choose(text, config.postconf)
            if spec in seen:
                continue
            seen.add(spec)
            log.info(f"table {spec}" + (f": {reason}" if reason else ""))
            opened.append(open_table(spec, options=replace(options, listener=_listening(spec, handed or {}))))
        if any(isinstance(table, AnsweringTable) for table in opened):
            sys.setswitchinterval(SWITCH)
    except PbsError:
        for table in opened:
            table.close()
        raise
    return opened


def _listening(spec: TableSpec, handed: dict[str, socket]) -> socket | None:
    """The socket from systemd that listens where this table is served, taken out of `handed`."""
    name = parse_endpoint(spec).find(handed) if spec.kind.served else None
    if name is None:
        return None
    log.info(f"table {spec}: served on the socket {name} from systemd")
    return handed.pop(name)

"""Warns, once after the start, if by Postfix's settings nobody can relay by our tables.

In a thread, because postconf is waited for: neither readiness nor the loop is delayed. Only where the configuration
lets us ask Postfix at all: its `mynetworks` holds "postfix", as it does by default, or it names a `postconf`.
`pbs-fast doctor` shows the same and more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pbs_fast.errors import ConfigError
from pbs_fast.guards.netblocks import DEFAULT_COMMAND, POSTFIX
from pbs_fast.health.postfix.installation import read_installations
from pbs_fast.health.postfix.naming import for_postfix
from pbs_fast.health.postfix.wiring import nobody_relays

if TYPE_CHECKING:
    from pbs_fast.config import Config
    from pbs_fast.tables import TableSpec

log = logging.getLogger(__name__)


def check_mta(config: Config, specs: Sequence[TableSpec]) -> threading.Thread | None:
    """Begin the check; it ends by itself, or with the process. None where there is nothing to ask, or nobody."""
    ours = for_postfix(specs)
    if not ours or not (POSTFIX in config.mynetworks or config.postconf != DEFAULT_COMMAND):
        return None
    thread = threading.Thread(target=_check, args=(config.postconf, ours), name="mta-check", daemon=True)
    thread.start()
    return thread


def _check(command: str, specs: Sequence[TableSpec]) -> None:
    try:
        found = nobody_relays(read_installations(command), specs)
    except ConfigError as error:
        # No Postfix here, or one of another time: `doctor` says so. Readiness does not depend on it.
        log.debug(f"Postfix's settings were not checked: {error}")
        return
    for finding in found:
        log.warning(f"{finding.evidence}; {finding.advice} (see: pbs-fast doctor)")

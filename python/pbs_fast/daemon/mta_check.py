"""Warns, once after the start, if by Postfix's settings nobody can relay by our tables.

In a thread, because postconf is waited for: neither readiness nor the loop is delayed. Only where the configuration
lets us ask Postfix at all: its `mynetworks` holds "postfix", as it does by default, or it names a `postconf`.
`pbs-fast doctor` shows the same and more.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from pbs_fast.errors import ConfigError, UsageError
from pbs_fast.guards.netblocks import DEFAULT_COMMAND, POSTFIX
from pbs_fast.health.postfix.installation import read_installations
from pbs_fast.health.postfix.naming import for_postfix
from pbs_fast.health.postfix.wiring import nobody_relays
from pbs_fast.tables.untyped import choose

if TYPE_CHECKING:
    from pbs_fast.config import Config

log = logging.getLogger(__name__)


def check_mta(config: Config) -> None:
    """Begin the check, if there is anything to ask; it ends by itself, or with the process."""
    if config.write and (POSTFIX in config.mynetworks or config.postconf != DEFAULT_COMMAND):
        threading.Thread(target=_check, args=(config,), name="mta-check", daemon=True).start()


def _check(config: Config) -> None:
    try:
        specs = for_postfix(choose(text, config.postconf).spec for text in config.tables)
        found = nobody_relays(read_installations(config.postconf), specs) if specs else []
    except (ConfigError, UsageError) as error:
        # No Postfix here, or one of another time: `doctor` says so. Readiness does not depend on it.
        log.debug(f"Postfix's settings were not checked: {error}")
        return
    for finding in found:
        log.warning(f"{finding.evidence}; {finding.advice} (see: pbs-fast doctor)")

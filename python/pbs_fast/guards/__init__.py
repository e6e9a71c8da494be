"""Guards refuse dangerous grants. Each has a name, which is its key in `[guards]`, and a counter `refused_NAME`.

    guards = Guards(config.guards, read_netblocks(...), read_machine(), read_deny(...), counters)
    screened = guards.screen(batch, ledger, clock.now(), shift=clock.shift(), replay=False)

Refused rows never reach the ledger. Guards use only the `Live` part of the ledger.
"""

from __future__ import annotations

from pbs_fast.guards.answers import LOCAL
from pbs_fast.guards.limits import Live
from pbs_fast.guards.machine import Machine, read_machine
from pbs_fast.guards.screen import Guards, Refusal, Screened

__all__ = ["LOCAL", "Guards", "Live", "Machine", "Refusal", "Screened", "read_machine"]

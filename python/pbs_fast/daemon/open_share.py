"""Makes the Share of a configuration: names, secrets and hubs, checked before the daemon says that it is ready.

Raises PbsError with one line for the user.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from pbs_fast.config import Settings
from pbs_fast.config.settings import NO_LOG
from pbs_fast.daemon.share import Share
from pbs_fast.errors import ConfigError, UsageError
from pbs_fast.share.hub import Hub
from pbs_fast.share.link import check_ca, require_library
from pbs_fast.share.message import is_node_name
from pbs_fast.share.own_rows import NativeRows
from pbs_fast.share.spec import PASSWORD, parse_hub, read_secrets

if TYPE_CHECKING:
    from pbs_fast.config.model import Share as ShareKeys
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.matching import Backend
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)


def open_share(settings: Settings, ledger: Ledger, clock: Clock, core: Backend) -> Share:
    """All hubs of the configuration, none of them asked yet; a Share without hubs where nothing is shared. `core`
    reads and writes rows.

    Nothing is shared either by a daemon that writes nothing, next to which the real one runs under the same name, and
    by one that ends at the end of the log.
    """
    config = settings.config
    keys = config.share
    if config.watchlog == (NO_LOG,) and not (keys.hubs and keys.from_):
        raise UsageError(
            f"--watchlog={NO_LOG} follows no log, so all grants come from other nodes: set share.hubs and share.from, "
            "or name a log"
        )
    if not keys.hubs or not config.write or config.once:
        return Share(keys, node_name(keys), lambda _: (), b"", ledger=ledger, clock=clock)
    require_library()
    secrets = read_secrets(keys.secret, settings.file)
    urls = [parse_hub(text) for text in keys.hubs]
    for url in urls:
        if url.user is not None and secrets.password is None:
            raise ConfigError(
                f"{settings.origin('share.hubs')}: {url.text} names a user, and there is no file {PASSWORD} next to "
                "the secret; make one, or leave out the user"
            )
    if keys.ca is not None and any(url.tls for url in urls):
        check_ca(keys.ca)
    node = node_name(keys)
    if not keys.publish and not keys.from_:
        log.warning("share.publish is false and share.from is empty: this node shares nothing")

    def hubs(wake: Callable[[], None]) -> list[Hub]:
        return [
            Hub(
                url,
                site=keys.site,
                node=node,
                secrets=secrets,
                ca=keys.ca,
                now=clock.now,
                wake=wake,
                native=core.shared_rows,
            )
            for url in urls
        ]

    log.info(
        "node %s of the site %s shares over %s; trusts %s",
        node,
        keys.site,
        ", ".join(keys.hubs),
        ", ".join(keys.from_) or "no other node",
    )
    native = None if core.own_rows is None else NativeRows(*core.own_rows)
    return Share(keys, node, hubs, secrets.keys[0], ledger=ledger, clock=clock, native=native)


def node_name(keys: ShareKeys) -> str:
    """The name of this node: share.node, else the host's. Raises ConfigError for a host's that cannot be one."""
    name = keys.node or socket.gethostname()
    if keys.hubs and not is_node_name(name):
        raise ConfigError(f"the host's name {name!r} cannot be a node's; set share.node")
    return name

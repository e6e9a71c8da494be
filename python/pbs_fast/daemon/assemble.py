"""Makes the daemon's parts from a configuration, and runs them: `pbs-fast run`.

What can be wrong with the configuration, the tables and the logs is found here, before the process says it is ready.
Raises PbsError with one line for the user.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from pbs_fast import __version__
from pbs_fast.config import DEFAULT, Config, Settings, why_default
from pbs_fast.control.requests import Control
from pbs_fast.control.sockets import open_sockets
from pbs_fast.daemon.cap_state import CapState
from pbs_fast.daemon.cap_watch import CapWatch
from pbs_fast.daemon.log_set import LogSet
from pbs_fast.daemon.log_watch import LogWatch
from pbs_fast.daemon.loop import Daemon
from pbs_fast.daemon.mta_check import check_mta
from pbs_fast.daemon.notify import Notifier
from pbs_fast.daemon.open_share import open_share
from pbs_fast.daemon.open_tables import left_tables, open_tables
from pbs_fast.daemon.other_source import OtherSource
from pbs_fast.daemon.parts import Parts
from pbs_fast.daemon.publisher import Publisher
from pbs_fast.daemon.reprocess import reprocess
from pbs_fast.daemon.signals import Signals
from pbs_fast.daemon.unexplained import Unexplained
from pbs_fast.health.notices import Notices
from pbs_fast.log.handlers import OwnLog
from pbs_fast.log.records import event
from pbs_fast.metrics.expose import Text, Ways
from pbs_fast.metrics.snapshot import Latest
from pbs_fast.serving.activation import inherited
from pbs_fast.sources.journal.newest import newest_entry
from pbs_fast.sources.registry import find_scheme
from pbs_fast.sources.watched import Watched
from pbs_fast.tables.value import Template
from pbs_fast.util.clock import Clock
from pbs_fast.util.text import plural

if TYPE_CHECKING:
    from pbs_fast.daemon.background import Background

log = logging.getLogger(__name__)


def run(
    settings: Settings,
    own: OwnLog,
    directory: str,
    background: Background | None = None,
    clock: Clock | None = None,
    program: str = "pbs-fast run",
) -> int:
    """Run the daemon until a signal stops it, or with `once` until all there is was read; the exit status.

    `own` is reopened by a reload, and writes what it holds once the tables are ours. `directory` is where relative
    paths begin that a reload finds; `clock` is by default the machine's; `program` is our name in errors. Raises
    PbsError when it cannot start.
    """
    config = settings.config
    handed = inherited()
    with ExitStack() as stack:
        notifier = stack.enter_context(Notifier())
        watched = Watched(config)
        signals = stack.enter_context(Signals())
        parts = Parts(settings, own, directory, clock or Clock())
        log.info(f"starting up (v{__version__}): {parts.core.name} backend ({parts.core.reason})")
        if not config.watchlog:
            log.info(f"no watchlog is set: following {why_default(watched.paths[0])}")
        followers = parts.followers(watched.paths)
        for follower in followers:
            # Before the tables: to `reap`, a start that fails here again and again must not look like a running daemon.
            follower.open(waits=not config.once)
        parts.share = share = open_share(settings, parts.ledger, parts.clock, parts.core)
        latest = Latest()
        open_metrics(config, latest, stack)
        state = CapState(parts.caps, Path(config.state_directory) if config.write else None, parts.clock)
        state.read()
        tables = open_tables(config, parts.clock, parts.caps, handed) if config.write else []
        own.write_held()
        notices = Notices()
        caps = CapWatch(parts.caps, parts.clock, notices, state)
        caps.begin(tables)
        template = Template(config.value)
        publisher = Publisher(
            tables, left_tables(tables, config), lambda grant: template.render(grant, parts.clock.to_wall).decode()
        )
        control = open_control(settings, handed, stack)
        if control is not None:
            control.metrics = Text(latest)
        daemon = Daemon(
            logs=LogSet(followers, watched, parts.newcomers),
            guards=parts.guards,
            ledger=parts.ledger,
            publisher=publisher,
            clock=parts.clock,
            signals=signals,
            hints=parts.hints,
            notifier=notifier,
            reload=parts.reload,
            unexplained=Unexplained(publisher.files, parts.ledger, parts.clock),
            notices=notices,
            log_watch=LogWatch(
                notices,
                grace=config.grace,
                wall=parts.clock.wall,
                other=OtherSource(newest_entry) if not any(map(find_scheme, watched.paths)) else None,
            ),
            manual=parts.manual,
            caps=caps,
            core=parts.core.name,
            formats=parts.format_names,
            latest=latest,
            control=control,
            share=share,
            checkpoints=parts.checkpoints(),
        )
        try:
            if config.reprocess:
                reprocess(followers, parts.guards, parts.ledger, parts.clock, signals, own, dry=not config.write)
            if daemon.start():
                addresses = plural(len(parts.ledger), "address", "addresses")
                log.info(f"ready: {addresses} may relay", extra=event("ready"))
                if background is not None:
                    background.ready()
                notifier.ready(daemon.state())
                if not config.once:
                    check_mta(config)
                    daemon.serve()
        finally:
            notifier.stopping()
            written = daemon.close()
        if daemon.at_end:
            log.info("the log has ended -- exiting")
        if signals.stop is not None:
            log.info(f"caught {signals.stop.name} -- exiting")
            if background is not None:
                background.failed(f"{program}: stopped by {signals.stop.name} before it was ready")
        log.info(f"counted {daemon.counted()}")
        return 0 if written else 1


def open_control(settings: Settings, handed: Mapping[str, socket], stack: ExitStack) -> Control | None:
    """The control sockets, served until the stack ends; None, and our log says why, where there are none.

    That is a warning if control.directory is set, else in order: an ordinary user's daemon cannot use the default.
    None without a word for a daemon that writes nothing, next to which the real one runs, and for one that ends at
    the end of the log.
    """
    config = settings.config
    sockets = None
    if config.write and not config.once:
        sockets = open_sockets(Path(config.control.directory), handed)
        stack.callback(sockets.close)
    for name, each in handed.items():
        if sockets is None or name not in sockets.listeners:
            log.warning("the socket %s from systemd is not used", name)
            each.close()
    if sockets is None:
        return None
    wanted = settings.origin("control.directory") != DEFAULT
    log.log(logging.WARNING if wanted and not sockets.listeners else logging.INFO, "%s", sockets.words)
    if not sockets.listeners:
        return None
    control = Control(sockets.listeners)
    stack.callback(control.close)
    return control


def open_metrics(config: Config, latest: Latest, stack: ExitStack) -> None:
    """The ways out for metrics that are set, until the stack ends; under the same conditions as the control sockets.

    Raises PbsError for an address that nothing can listen on, or without the library.
    """
    keys = config.metrics
    if (keys.file is None and keys.listen is None) or not config.write or config.once:
        return
    stack.callback(Ways(latest, keys.file, keys.listen).close)
    log.info(f"metrics: {' and '.join(filter(None, [keys.file, keys.listen and f'http://{keys.listen}/metrics']))}")

"""Checks `share.hub` and `share.nodes`: what each hub does for this node (`hub.py`), and who of the others is heard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pbs_fast.control.client import ControlError, ask, socket_of
from pbs_fast.control.protocol import Status
from pbs_fast.daemon.open_share import node_name
from pbs_fast.doctor.hub import HUB, look
from pbs_fast.doctor.site import Site
from pbs_fast.errors import ConfigError
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.share.link import MissingLibraryError, check_ca, require_library
from pbs_fast.share.spec import parse_hub, read_secrets
from pbs_fast.util.text import plural

NODES: Final = "share.nodes"
_PATIENCE: Final = 10.0


def check_hubs(site: Site) -> Iterator[Finding]:
    """Each hub of the configuration."""
    keys = site.config.share
    if not keys.hubs:
        return
    urls = [parse_hub(text) for text in keys.hubs]
    try:
        require_library()
        node = node_name(keys)
        if keys.ca is not None and any(url.tls for url in urls):
            check_ca(keys.ca)
    except (MissingLibraryError, ConfigError) as error:
        yield Finding(HUB, "fail", str(error), "pbs-fast does not start like this")
        return
    try:
        secrets = read_secrets(keys.secret, site.settings.file)
    except ConfigError as error:
        advice = "pbs-fast does not start like this, unless its unit passes the secret as a credential"
        yield Finding(HUB, "warn", str(error), advice)
        return
    for url in urls:
        faults = list(look(url, secrets, keys, node))
        yield from faults
        if not any(each.level in ("warn", "fail") for each in faults):
            yield Finding(HUB, "ok", f"{url.text} serves this node, and lets it write its own stream only")


def check_nodes(site: Site) -> Iterator[Finding]:
    """What the running daemon knows of the other nodes."""
    if not site.config.share.hubs:
        return
    request = Status()
    try:
        status = ask(socket_of(site.config.control.directory, request), request, patience=_PATIENCE)
    except ControlError as error:
        yield Finding(NODES, "skip", f"{CANNOT_TELL}: {error}")
        return
    others = status["nodes"]
    faults = []
    for node in others:
        name = node["name"]
        if node["silent"]:
            heard = "was never heard" if node["heard"] is None else f"was last heard {node['heard']}"
            faults.append(
                Finding(NODES, "warn", f"{name} {heard}", f"see its log; if it is gone: pbs-fast share forget {name}")
            )
        elif node["trusted"] and (node["grace"] or 0) > site.config.share.longest:
            evidence = (
                f"{name} lets an address relay for {node['grace']} s, and share.longest ends its rows here sooner"
            )
            faults.append(Finding(NODES, "warn", evidence, f"set share.longest = {node['grace']}, and restart"))
        elif not node["trusted"]:
            faults.append(
                Finding(NODES, "note", f"{name} speaks and is not in share.from, so its grants do not count here")
            )
        elif node["version"] not in (None, status["version"]):
            faults.append(Finding(NODES, "note", f"{name} is pbs-fast {node['version']}, this is {status['version']}"))
    yield from faults
    if not any(each.level == "warn" for each in faults):
        trusted = sum(each["trusted"] for each in others)
        yield Finding(NODES, "ok", f"{plural(trusted, 'trusted node is', 'trusted nodes are')} heard")

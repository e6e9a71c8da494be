"""Check `unit`: does the sandbox of our systemd unit, drop-ins included, stand in the way of this configuration?"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from pbs_fast.daemon.privileges import LOG_GROUPS
from pbs_fast.doctor.site import Site
from pbs_fast.doctor.system import has_systemd, show
from pbs_fast.errors import UsageError
from pbs_fast.health.finding import Finding
from pbs_fast.share.spec import HubUrl, parse_hub
from pbs_fast.sources.registry import find_scheme
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.served.endpoint import parse as parse_endpoint
from pbs_fast.util.addresses import parse, parse_network

if TYPE_CHECKING:
    from pbs_fast.config import Config

UNIT: Final = "pbs-fast.service"
POLICY_SOCKET: Final = "pbs-fast-policy.socket"
_PROPERTIES: Final = (
    "LoadState",
    "TriggeredBy",
    "ActiveState",
    "NeedDaemonReload",
    "User",
    "SupplementaryGroups",
    "StateDirectory",
    "LogsDirectory",
    "ReadWritePaths",
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "PrivateUsers",
    "IPAddressAllow",
    "IPAddressDeny",
)
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - names of directories to compare with
_LOOPBACK = ("127.0.0.0/8", "127.0.0.1/32", "::1/128", "localhost")


def check(site: Site) -> Iterator[Finding]:
    """What systemd says of the unit, against the configuration."""
    if not has_systemd(site.root):
        yield Finding("unit", "skip", "there is no systemd here")
        return
    properties = show(UNIT, _PROPERTIES)
    if properties.get("LoadState") != "loaded":
        yield Finding("unit", "skip", f"there is no unit {UNIT}")
        return
    from pbs_fast.config import logs

    faults = list(judge(properties, site.config, logs(site.config), site.specs, _sockets(properties)))
    yield from faults
    if not faults:
        yield Finding(
            "unit", "ok", f"{UNIT} is {properties.get('ActiveState')}; its sandbox lets this configuration work"
        )


def _sockets(properties: Mapping[str, str]) -> list[str]:
    """The paths on which socket units of the service listen (`Listen=PATH (Stream)`)."""
    found = []
    for name in properties.get("TriggeredBy", "").split():
        socket = show(name, ("ActiveState", "Listen")) if name.endswith(".socket") else {}
        if socket.get("ActiveState") == "active":
            found.append(socket.get("Listen", "").rpartition(" (")[0])
    return found


def judge(
    properties: Mapping[str, str],
    config: Config,
    logs: Sequence[str],
    specs: Sequence[TableSpec],
    sockets: Collection[str] = (),
) -> Iterator[Finding]:
    """What is wrong with a unit of these properties (systemd.exec(5), systemd.resource-control(5)).

    `sockets` are paths on which systemd listens for it.
    """
    yield from _unserved(config, specs, sockets)
    specs = [spec for spec in specs if not _is_handed_over(spec, sockets)]
    if properties.get("NeedDaemonReload") == "yes":
        yield Finding("unit", "warn", f"{UNIT}: its files changed since systemd read them", "systemctl daemon-reload")
    if properties.get("ActiveState") in ("failed", "inactive"):
        yield Finding(
            "unit", "fail", f"{UNIT} is {properties['ActiveState']}", f"systemctl status {UNIT}; journalctl -u {UNIT}"
        )
    groups = properties.get("SupplementaryGroups", "").split()
    if properties.get("User", "") not in ("", "root") and not set(groups) & set(LOG_GROUPS):
        yield Finding(
            "unit",
            "warn",
            f"{UNIT}: SupplementaryGroups={' '.join(groups)} holds none of {', '.join(LOG_GROUPS)}, who may read logs",
            f"systemctl edit pbs-fast: SupplementaryGroups={' '.join(LOG_GROUPS)}",
        )
    yield from _writes(properties, config, specs)
    yield from _reads(properties, logs)
    yield from _listens(properties, specs)
    yield from _talks(properties, [parse_hub(text) for text in config.share.hubs])
    gives = properties.get("PrivateUsers") != "yes" and "postfix" in groups
    for spec in specs:
        if spec.type == "policy" and _socket(spec) is not None and not spec.option("group") and not gives:
            yield Finding(
                "unit",
                "fail",
                f"{UNIT}: the socket of {spec} is for the group postfix, to which the unit cannot give it",
                f"systemctl enable {POLICY_SOCKET}; systemctl restart {UNIT}",
            )
    if "{user}" in config.value and not gives:
        yield Finding(
            "unit",
            "fail",
            f"{UNIT}: value names users, so the table belongs to the group postfix, which the unit cannot give it",
            "systemctl edit pbs-fast: PrivateUsers=no and SupplementaryGroups=postfix",
        )


def _writes(properties: Mapping[str, str], config: Config, specs: Sequence[TableSpec]) -> Iterator[Finding]:
    """ProtectSystem=strict: only the named directories can be written."""
    if properties.get("ProtectSystem") != "strict" or not config.write:
        return
    allowed = [f"/var/lib/{name}" for name in properties.get("StateDirectory", "").split()]
    allowed += [f"/var/log/{name}" for name in properties.get("LogsDirectory", "").split()]
    allowed += [path.lstrip("-+") for path in properties.get("ReadWritePaths", "").split()]
    wanted = {os.path.realpath(place): str(spec) for spec in specs if (place := _directory(spec)) is not None}
    if config.logto is not None and config.logto.startswith("/"):
        wanted[os.path.dirname(os.path.realpath(config.logto))] = f"logto = {config.logto}"  # noqa: PTH120
    for directory, what in wanted.items():
        if not _below(directory, allowed):
            yield Finding(
                "unit",
                "fail",
                f"{UNIT}: {what} is in {directory}, which the unit must not write",
                f"systemctl edit pbs-fast: ReadWritePaths={directory}",
            )


def _unserved(config: Config, specs: Sequence[TableSpec], sockets: Collection[str]) -> Iterator[Finding]:
    """Sockets of tables that the configuration does not have: smtpd waits there for nobody."""
    ours = {os.path.realpath(place) for spec in specs if (place := _socket(spec)) is not None}
    for path in sockets:
        if os.path.realpath(path) not in ours and not _below(path, [config.control.directory]):
            yield Finding(
                "unit",
                "fail",
                f"{UNIT}: systemd listens on {path}, and no table of this configuration is served there, so an smtpd "
                "that asks waits until its time limit",
                f"add the table to pbs-fast.toml, or: systemctl disable --now {POLICY_SOCKET}",
            )


def _is_handed_over(spec: TableSpec, sockets: Collection[str]) -> bool:
    """Whether systemd listens where the table is served, so that the unit need not be able to."""
    path = _socket(spec)
    return path is not None and os.path.realpath(path) in map(os.path.realpath, sockets)


def _socket(spec: TableSpec) -> Path | None:
    """Where a table is served on a Unix socket."""
    try:
        return parse_endpoint(spec).path if spec.kind.served else None
    except UsageError:
        return None


def _directory(spec: TableSpec) -> Path | None:
    """Where a table's file or socket is; None for neither."""
    if spec.file is not None:
        return spec.file.parent
    path = _socket(spec)
    return None if path is None else path.parent


def _below(path: str, directories: Sequence[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(os.path.realpath(each)) for each in directories)


def _reads(properties: Mapping[str, str], logs: Sequence[str]) -> Iterator[Finding]:
    hidden = [*_HOMES] if properties.get("ProtectHome") in ("yes", "tmpfs") else []
    hidden += _TEMPORARY if properties.get("PrivateTmp") == "yes" else ()
    for log in logs:
        if find_scheme(log) is None and _below(os.path.realpath(log), hidden):
            yield Finding(
                "unit",
                "fail",
                f"{UNIT}: the unit sees no {log} (ProtectHome, PrivateTmp)",
                "keep the log below /var/log, or: systemctl edit pbs-fast: ProtectHome=read-only",
            )


def _listens(properties: Mapping[str, str], specs: Sequence[TableSpec]) -> Iterator[Finding]:
    allowed = properties.get("IPAddressAllow", "").split()
    if not properties.get("IPAddressDeny") or any(each in _LOOPBACK for each in allowed):
        return
    for spec in specs:
        if spec.kind.served and spec.address.startswith("inet:"):
            yield Finding(
                "unit",
                "fail",
                f"{UNIT}: IPAddressDeny keeps everybody from {spec}",
                "systemctl edit pbs-fast: IPAddressAllow=localhost",
            )


def _talks(properties: Mapping[str, str], hubs: Sequence[HubUrl]) -> Iterator[Finding]:
    """Hubs that the unit's filter of addresses keeps us from: connecting fails with EPERM."""
    if not properties.get("IPAddressDeny"):
        return
    allowed = [parse_network(each) for each in properties.get("IPAddressAllow", "").split() if _is_network(each)]
    for hub in hubs:
        if hub.path is not None:
            continue
        address = parse(hub.host)
        if address is None:
            yield Finding(
                "unit",
                "warn",
                f"{UNIT}: IPAddressDeny keeps us from name servers, so the address of {hub.host} may not be found",
                "give the hub's address in share.hubs, and list it in the certificate",
            )
        elif not any(network.holds(*address) for network in allowed):
            yield Finding(
                "unit",
                "fail",
                f"{UNIT}: IPAddressDeny keeps us from the hub {hub.place}",
                f"systemctl edit pbs-fast: [Service] and IPAddressAllow={hub.host}",
            )


def _is_network(text: str) -> bool:
    try:
        parse_network(text)
    except ValueError:
        return False
    return True

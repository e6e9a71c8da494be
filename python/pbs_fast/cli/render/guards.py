"""What each guard means to an administrator who wonders why an address got no grant, and what to do."""

from __future__ import annotations

#: Guard -> what it means, and what to do.
_GUARDS = {
    "local": ("it is in mynetworks, so it may relay without a row", ""),
    "gateway": (
        "it is this machine's default gateway: a container's proxy hides the clients behind it",
        "let the proxy pass the client's address on (PROXY protocol; Dovecot: haproxy_trusted_networks), or list it in "
        "guards.proxies to silence this",
    ),
    "own": (
        "it is an address of this machine: the login came from web mail or a proxy here",
        "let the web mail server use mynetworks or SMTP AUTH; for a proxy see the PROXY protocol",
    ),
    "loop": (
        "both ends of the connection have this address: the login came from this machine",
        "let the program use mynetworks or SMTP AUTH",
    ),
    "proxies": ("it is listed in guards.proxies: many users share it", "remove it there if it is a client's address"),
    "deny": ("the deny list or a manual denial covers it", ""),
    "hosts": (
        "the log line names a host that guards.hosts does not list, so another machine may have written it",
        "add the host to guards.hosts if it is one of your servers",
    ),
    "max_rows": ("the table was full", "raise guards.max_rows, or find out who logs in from so many addresses"),
    "max_new_per_minute": ("too many new addresses logged in within a minute", "raise guards.max_new_per_minute"),
    "max_users_per_address": (
        "too many users logged in from this private address within an hour: it is likely a proxy",
        "list it in guards.proxies, or raise guards.max_users_per_address",
    ),
    "max_addresses_per_user": (
        "the user logged in from too many addresses within an hour: the password may be stolen",
        "if it is: pbs-fast revoke USER, and a new password; else raise guards.max_addresses_per_user",
    ),
}


def meaning(guard: str) -> list[str]:
    """What a guard means and, as far as known, what to do."""
    switch = (f"guards.{guard} is on and refuses such addresses", f"set guards.{guard} = false if clients have them")
    what, do = _GUARDS.get(guard, switch)
    return [what, do] if do else [what]

"""Checks of Postfix: `postfix.wired`, `.order`, `.policy`, `.other`. What they mean is decided in `health/postfix`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pbs_fast.doctor.docker import container_networks
from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.health.postfix import checks
from pbs_fast.health.postfix.naming import for_postfix
from pbs_fast.health.postfix.policy import policy
from pbs_fast.health.postfix.wiring import WIRED, judged, wired


def check(site: Site) -> Iterator[Finding]:
    """All that the settings of Postfix tell."""
    specs = for_postfix(site.specs)
    if not specs:
        if not site.postfix.is_missing:
            yield Finding(WIRED, "skip", "no table of this configuration is one for Postfix")
        return
    if site.postfix.trouble:
        yield Finding(WIRED, "skip", f"{CANNOT_TELL}: {site.postfix.trouble}")
        return
    found = judged(site.postfix.installations, specs)
    yield from wired(found, specs)
    yield from checks.order(found)
    yield from policy(found)
    others = [*checks.networks(found, container_networks(Path(site.root))), *checks.ways(found)]
    yield from others
    if not others and any(each.services for each in found):
        yield Finding(checks.OTHER, "ok", "mynetworks, proxymap and chroot: nothing in the way")

"""`pbs-fast doctor` on real hubs: what it finds wrong, and that it finds nothing wrong with those that are right."""

from __future__ import annotations

import pytest

from daemon.running import login
from pbs_fast.config.read import read_file
from pbs_fast.config.settings import merge
from pbs_fast.doctor import share, unit
from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import Finding
from share.hubs import NewHub
from share.nodes import NewNode, Node


def site_of(node: Node) -> Site:
    return Site(merge(read_file(str(node.config)), ()), [])


def levels(findings: list[Finding]) -> list[str]:
    return [each.level for each in findings]


@pytest.mark.system
def test_a_hub_as_documented_is_in_order(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub(tls=True)
    findings = list(share.check_hubs(site_of(new_node("pop1", [hub]))))
    assert levels(findings) == ["ok"], findings
    assert not hub.admin.keys("*")


@pytest.mark.system
def test_what_is_wrong_with_a_hub(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub(acl=False)
    hub.config("maxmemory", "100mb")
    hub.config("maxmemory-policy", "allkeys-lru")
    node = new_node("pop1", [hub])
    found = [each.evidence for each in share.check_hubs(site_of(node))]
    for words in ('as the user "default"', "write the streams of other nodes", "allkeys-lru drops our streams"):
        assert any(words in each for each in found), found
    assert not hub.admin.keys("*")
    hub.config("maxmemory-policy", "volatile-lru")
    assert any("keys of other programs only" in each.evidence for each in share.check_hubs(site_of(node)))
    hub.kill()
    assert any("Connection refused" in each.evidence for each in share.check_hubs(site_of(node)))


@pytest.mark.system
def test_what_is_said_of_nodes(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False, trusts=["pop1"])
    pop.start()
    assert levels(list(share.check_nodes(site_of(smtp)))) == ["skip"]
    smtp.start()
    pop.append(login("203.0.113.5"))
    smtp.wait_rows("203.0.113.5")
    assert [each.evidence for each in share.check_nodes(site_of(smtp))] == ["1 trusted node is heard"]


def test_a_unit_that_keeps_us_from_a_hub() -> None:
    hubs_ = ["valkeys://10.0.0.11", "valkeys://hub.example.org", "unix:///run/hub.sock"]

    def found(allow: str, deny: str = "0.0.0.0/0 ::/0") -> list[Finding]:
        properties = {"IPAddressDeny": deny, "IPAddressAllow": allow}
        return list(unit._talks(properties, [unit.parse_hub(text) for text in hubs_]))

    assert levels(found("")) == ["fail", "warn"]
    assert found("")[0].advice == "systemctl edit pbs-fast: [Service] and IPAddressAllow=10.0.0.11"
    assert levels(found("10.0.0.0/8")) == ["warn"]
    assert not found("", deny="")

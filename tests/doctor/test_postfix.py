"""What doctor and the daemon's start say of installations: no false alarm, and each planted fault by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from doctor.installations import BROKEN, GOOD, MAIN, RELAY, Shape, build
from pbs_fast.config.settings import merge
from pbs_fast.doctor import tables
from pbs_fast.doctor.postfix import check
from pbs_fast.doctor.site import Site
from pbs_fast.health.finding import Finding
from pbs_fast.health.postfix.wiring import nobody_relays
from pbs_fast.tables import parse


def site_of(shape: Shape, directory: Path) -> Site:
    """The site whose Postfix has this shape."""
    command, specs = build(shape, directory)
    settings = merge(None, ())
    settings = replace(settings, config=replace(settings.config, postconf=command))
    return Site(settings, [parse(table) for table in specs], root=str(directory))


def _shown(findings: list[Finding]) -> str:
    return "\n".join(" | ".join(each) for each in findings)


@pytest.mark.parametrize("name", GOOD)
def test_a_sound_installation_alarms_nobody(name: str, tmp_path: Path) -> None:
    site = site_of(GOOD[name], tmp_path)
    found = list(check(site))
    assert {each.level for each in found} <= {"ok", "note"}, _shown(found)
    assert [each for each in found if (each.code, each.level) == ("postfix.wired", "ok")], _shown(found)
    assert [each for each in found if (each.code, each.level) == ("postfix.order", "ok")], _shown(found)
    for part in GOOD[name].notes:
        assert any(part in each.evidence for each in found), _shown(found)
    assert nobody_relays(site.postfix.installations, site.specs) == []


@pytest.mark.parametrize("name", BROKEN)
def test_a_planted_fault_is_found_by_its_name(name: str, tmp_path: Path) -> None:
    site = site_of(BROKEN[name], tmp_path)
    found = list(check(site))
    alarms = [each for each in found if each.level not in ("ok", "note")]
    for code, level, part in BROKEN[name].expected:
        hits = [each for each in alarms if (each.code, each.level) == (code, level) and part in each.evidence]
        assert hits, _shown(found)
        assert all(each.advice for each in hits if level != "skip")
    assert len(alarms) == len(BROKEN[name].expected), _shown(found)
    # The daemon's start warns where nobody relays, and of nothing else.
    some = any((each.code, each.level) in (("postfix.wired", "ok"), ("postfix.wired", "skip")) for each in found)
    warned = nobody_relays(site.postfix.installations, site.specs)
    assert bool(warned) is not some, _shown(warned)
    assert all(each in found for each in warned)


def test_a_type_whose_package_is_missing(tmp_path: Path) -> None:
    """Debian's postconf lists lmdb by a file in meta_directory, which the package postfix-lmdb adds."""
    site = site_of(Shape(f"meta_directory = {tmp_path}\n{MAIN}{RELAY}"), tmp_path)
    if "lmdb" in site.postfix.installations[0].types:
        pytest.skip("this Postfix has lmdb built in")
    (tmp_path / "relay.lmdb").touch()
    found = [each for each in tables.check_read(site) if each.level == "fail"]
    assert [each.code for each in found] == ["table.read"]
    assert "cannot read lmdb tables" in found[0].evidence
    assert "apt install postfix-lmdb" in found[0].advice
    assert nobody_relays(site.postfix.installations, site.specs) == found


def test_postfix_that_nobody_reaches(tmp_path: Path) -> None:
    """As Debian's "local only" has it: whether it asks our table matters to nobody."""
    site = site_of(Shape(f"{MAIN}inet_interfaces = loopback-only\n"), tmp_path)
    found = list(check(site))
    assert [(each.code, each.level) for each in found] == [("postfix.wired", "skip")], _shown(found)
    assert nobody_relays(site.postfix.installations, site.specs) == []


def test_there_are_enough_of_them() -> None:
    assert len(GOOD) >= 12
    assert len(BROKEN) >= 20

"""`catalogue`: all built-in formats, those of a list, or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbs_fast.config import load, merge
from pbs_fast.errors import ConfigError
from pbs_fast.formats.loader import load_catalogue
from pbs_fast.matching.site import Site, site_formats

ALL = {each.name for each in load_catalogue()}
OWN = "[[format]]\nname = 'mypop'\nprogram = ['mypop']\nlogin = ['in {ip}']\n"


def site(text: str, place: Path) -> Site:
    file = place / "pbs-fast.toml"
    file.write_text(text)
    return site_formats(merge(load(str(file)), ()))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ALL),
        ("catalogue = true\n", ALL),
        ("catalogue = ['dovecot', 'uw']\n", {"dovecot", "uw"}),
        ("catalogue = 'dovecot'\n", {"dovecot"}),
        (f"catalogue = ['dovecot']\n{OWN}", {"dovecot", "mypop"}),
        (f"catalogue = []\n{OWN}", {"mypop"}),
        (f"catalogue = false\n{OWN}", {"mypop"}),
        ("catalogue = []\n", set()),
    ],
)
def test_which_formats_are_in_force(text: str, names: set[str], tmp_path: Path) -> None:
    found = site(text, tmp_path)
    assert {each.name for each in found.formats} == names
    assert any("so nothing is granted" in warning for warning in found.warnings) == (not names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("catalogue = ['dovcot']\n", 'pbs-fast.toml:1: no format has the name "dovcot"; nearest: "dovecot"'),
        ("catalogue = 1\n", "catalogue must be true, false, or a list of formats"),
        ("catalogue = ['dovecot', 3]\n", "catalogue must be true, false, or a list of formats"),
        ("catalogue = false\n", "catalogue is false and there is no"),
        (f"catalogue = ['dovecot']\n{OWN.replace('mypop', 'uw')}", "there is a format 'uw' already"),
    ],
)
def test_what_it_may_be(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="^.*" + said.replace("[", "[[]")):
        site(text, tmp_path)

"""Routines put together at random from statements that are read and others, against perl's own grants."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from legacy.test_corpus import by_ours, by_the_old_file, differences, import_config, with_perl  # noqa: F401

#: As in test_corpus.py, perl runs twice for each.
pytestmark = pytest.mark.system

SETUP = r"""
my $t = '^(\w\w\w +\d+ \d+:\d+:\d+) \S+ ';
my ($line, @m);
my $good = $t . 'apop\[\d+\]: in \S+ from (\d+\.\d+\.\d+\.\d+)';
my $more = $t . 'bpop: hello (?:\S+ )?(\d+\.\d+\.\d+\.\d+)$';
my $bye = $t . 'apop\[\d+\]: out \S+ from (\d+\.\d+\.\d+\.\d+)';
my $bad = $t . 'apop\[\d+\]: in guest from (\d+\.\d+\.\d+\.\d+)';
my @login = ($good, $more); my @logout = ($bye); my @ignore = ($bad); my $seen = 0;
"""
READ = (
    "return ($1, $2, 0) if /$good/;",
    "return ($1, $2) if /$more/;",
    "return ($1, $2, -1) if /$bye/;",
    "foreach my $r (@login) { return ($1, $2, 0) if /$r/ }",
    "foreach my $r (@logout) { if (my ($s, $i) = /$r/) { return ($s, $i, -1) } }",
    "foreach my $r (@login) { next unless /$r/; return ($1, $2) }",
    "if (/$good/) { return ($1, $2, 0) } elsif (/$more/) { return ($1, $2, 0) }",
    "my ($s, $i) = /$more/ or return; return ($s, $i);",
    "return ($1, $2) if /$good/ || /$more/;",
    "return ();",
)
OTHERS = (
    "return () if /$bad/;",
    "foreach my $r (@ignore) { return () if /$r/ }",
    "return () unless /apop/;",
    "if (/$bad/) { return }",
    "if (/$good/) { return ($1, $2, 0) } else { return }",
    "s/guest/nobody/;",
    "return () if $seen++ > 5;",
    "local $_ = lc;",
    "return ($1, $2) if /$good/ and not /$bad/;",
    "unless (/guest/) { return ($1, $2) if /$good/ }",
    "return ($1, '203.0.113.250') if /$more/;",
)


def log(chance: random.Random) -> str:
    lines = []
    for number in range(40):
        ip = f"203.0.113.{chance.randrange(1, 200)}"
        text = chance.choice(
            (
                f"apop[{number}]: in {chance.choice(('ann', 'guest', 'bob'))} from {ip}",
                f"apop[{number}]: out ann from {ip}",
                f"apop[{number}]: refused ann from {ip}",
                f"bpop: hello {ip}",
                f"bpop: hello {chance.choice(('ann', 'guest'))} {ip}",
                f"bpop: hello {ip} no",
                f"dovecot: imap-login: Login: user=<eve>, method=PLAIN, rip={ip}, lip=192.0.2.10",
                f"ipop3d[{number}]: Login user=rolf host=h.example.net [{ip}]",
            )
        )
        lines.append(f"Nov 30 08:00:{number:02} mx {text}\n")
    return "".join(lines)


@pytest.mark.parametrize("seed", range(24))
def test_an_import_never_grants_more_and_says_what_it_leaves_out(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    statements = chance.sample(READ, chance.randrange(1, 4))
    is_read = chance.random() < 0.6
    if not is_read:
        statements.insert(chance.randrange(len(statements) + 1), chance.choice(OTHERS))
    body = "\n    ".join(statements)
    file = tmp_path / "old.pl"
    file.write_text(f"{SETUP}sub custom_match {{\n    {body}\n    ();\n}}\n1;\n")
    file.with_suffix(".log").write_text(log(chance))
    theirs = by_the_old_file(file)
    for keep in (False, True):
        found = import_config(file, keep=keep)
        more, less = differences(by_ours(found.toml, file.with_suffix(".log"), tmp_path, "rust"), theirs)
        assert more == set(), body
        assert less == set() or found.status == 3, body

"""Which code of a `custom_match` is read as patterns, and that all other code is not read at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mta import unavailable
from pbs_fast.legacy.evaluate import Old, evaluate
from pbs_fast.legacy.routine import UnreadError, joins_lines, tried

BEFORE = """
my $good = '^(...) good (\\d+)'; my $more = '^(...) more (\\d+)'; my $bad = '^(...) bad (\\d+)';
my @login = ($good, $more); my @logout = (undef, '^(...) out (\\d+)'); my @ignore = ($bad); my %by = (a => $good);
"""

READ = {
    "return ($1, $2, 0) if /$good/; ();": ["good 1 2"],
    "return ($1, $2) if /$good/i; return;": ["good 1 2 i"],
    "return ($2, $1, 1) if /$good/; return ();": ["good 2 1 +"],
    "if (my ($t, $i) = /$good/) { return ($t, $i, -1) } ();": ["good 1 2 -"],
    "my ($t, $i); if (($t, $i) = /$good/) { return ($t, $i); } return;": ["good 1 2"],
    "my $line = $_; return ($1, $2) if $line =~ /$good/; return;": ["good 1 2"],
    "for my $r (@login) { return ($1, $2, 0) if /$r/ } ();": ["good 1 2", "more 1 2"],
    "foreach my $r ($good, $more) { if (/$r/) { return ($1, $2) } } return": ["good 1 2", "more 1 2"],
    "for my $r (@login) { next unless /$r/; return ($1, $2); } return": ["good 1 2", "more 1 2"],
    "for my $r (@login) { my ($t, $i) = /$r/ or next; return ($t, $i, 0); } return": ["good 1 2", "more 1 2"],
    "my ($t, $i) = /$good/ or return; return ($t, $i, 0);": ["good 1 2"],
    "if (/$good/) { return ($1, $2) } elsif (/$more/) { return ($1, $2) } else { return }": ["good 1 2", "more 1 2"],
    "return ($1, $2) if /$good/ || /$more/; ();": ["good 1 2", "more 1 2"],
    "for my $r (@logout) { return ($1, $2, -1) if defined $r and /$r/ } ();": ["out 1 2 -"],
    "my $line = $_; for (@login) { return ($1, $2) if $line =~ /$_/ } return": ["good 1 2", "more 1 2"],
    "return ($1, $2) if m{^(...) good/x (\\d+)}; ();": ["good/x 1 2"],
    "return ($1, $2) if /^(...) good $login[1]/; ();": None,
    "return;": [],
}

#: Each may decide about grants, so none of it is read in part.
UNREAD = [
    "return () if /$bad/; return ($1, $2, 0) if /$good/; ();",
    "return if /$bad/; for my $r (@login) { return ($1, $2) if /$r/ } ();",
    "for my $r (@ignore) { return () if /$r/ } return ($1, $2) if /$good/; ();",
    "for my $r (@ignore) { if (/$r/) { return } } return ($1, $2) if /$good/; ();",
    "return () unless /x/; return ($1, $2) if /$good/; ();",
    "return unless /x/; for my $r (@login) { return ($1, $2) if /$r/ } ();",
    "next unless /x/; return ($1, $2) if /$good/; ();",
    "return ($1, $2) if /$good/ and !/$bad/; ();",
    "return ($1, $2) if !/$bad/ && /$good/; ();",
    "return ($1, $2) if /$good/ and $2 ne '7'; ();",
    "return ($1, $2) if /$good/ xor /$bad/; ();",
    "if (/$good/) { return if /$bad/; return ($1, $2) } ();",
    "if (/$good/) { my $ip = $2; return ($1, $ip) } ();",
    "if (/$good/) { return ($1, $2) if $2 < 9 } ();",
    "return ($1, '7') if /$good/; ();",
    "return ($1, $2 + 1) if /$good/; ();",
    "return ($1, $2, $n++) if /$good/; ();",
    "s/x/y/; return ($1, $2) if /$good/; ();",
    "my $line = lc $_; return ($1, $2) if $line =~ /$good/; ();",
    "return ($1, $2) if $0 =~ /$good/; ();",
    "for (@login) { return ($1, $2) if /$_/ } ();",
    "for my $r (values %by) { return ($1, $2) if /$r/ } ();",
    "for my $r (@login) { return ($1, $2) if /$r/; last } ();",
    "for my $r (@login) { for my $s (@ignore) { return ($1, $2) if /$r/ } } ();",
    "for my $r (@login) { next if /$bad/; return ($1, $2) if /$r/ } ();",
    "return ($1, $2) if /$good/g; ();",
    "return ($1, $2) if /$unknown/; ();",
    "for my $r (@logout) { return ($1, $2, -1) if /$r/ } ();",
    "return ($1, $2) if /$good/ && log_it($2); ();",
    "if (/$good/) { return ($1, $2) } else { return ($1, $2) if /$more/ } ();",
    "return ($1, $2) if /(?{ 1 })$good/; print 1; ();",
    "return wantarray ? ($1, $2) : () if /$good/; ();",
    "my @m = /$good/; @m = () if /$bad/; return @m;",
    "goto &other;",
    "if (/$good/) { return ($1, $2) } else { return } return ($1, $2) if /$bad/; ();",
    "for my $r (@login) { if (/$r/) { return ($1, $2) } else { return } } ();",
    "for my $r (@login) { my ($t, $i) = /$r/ or return; return ($t, $i) } ();",
    "eval { die if /$bad/; 1 } or return; return ($1, $2) if /$good/; ();",
]


@pytest.fixture(scope="module", autouse=True)
def with_perl() -> None:
    if shutil.which("perl") is None:
        unavailable("needs perl")


COUNTED = """
my ($t, $i); my $n = 0;
foreach my $r (@login) {
    if (($t, $i) = /$r/) { my $up = defined($logout[$n]) ? 1 : 0; return ($t, $i, $up) }
    $n++;
}
();
"""


@pytest.fixture(scope="module")
def routines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Old]:
    """Body -> the file whose `custom_match` it is; perl reads all bodies at once, as subs of one file."""
    bodies = [*READ, *UNREAD, COUNTED]
    file = tmp_path_factory.mktemp("routines") / "old.conf"
    subs = "".join(f"sub routine_{number} {{ {body} }}\n" for number, body in enumerate(bodies))
    file.write_text(f"{BEFORE}sub other {{ }}\n{subs}1;\n")
    old = evaluate(str(file))
    return {
        body: replace(old, subs={**old.subs, "custom_match": old.subs[f"routine_{number}"]})
        for number, body in enumerate(bodies)
    }


def read(old: Old) -> list[str]:
    found = []
    for each in tried(old):
        word = each.pattern.removeprefix("(?i:").split()[1]
        mark = " -" if each.logout else " +" if each.counts else " i" if each.pattern.startswith("(?i:") else ""
        found.append(f"{word} {each.timestamp} {each.ip}{mark}")
    return found


@pytest.mark.parametrize("body", READ)
def test_what_only_tries_patterns_is_read(body: str, routines: dict[str, Old]) -> None:
    wanted = READ[body]
    if wanted is None:
        with pytest.raises(UnreadError):
            read(routines[body])
    else:
        assert read(routines[body]) == wanted


@pytest.mark.parametrize("body", UNREAD)
def test_all_other_code_is_not_read(body: str, routines: dict[str, Old]) -> None:
    with pytest.raises(UnreadError):
        read(routines[body])


def test_a_login_counts_where_the_list_of_logouts_has_one_for_it(routines: dict[str, Old]) -> None:
    assert read(routines[COUNTED]) == ["good 1 2", "more 1 2 +"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("delete $open{$process};", ""),
        ("if (/$OK_pat/o) {", "if (/$OK_pat/o || /x/) {"),
        ("if (/$IP_pat/o) {", "if (/$IP_pat/o && !/guest/) {"),
        ("$ip_of{$process} = $3;", "$ip_of{$process} = $3; return ($when, $3, 0);"),
        ("my $address = $ip_of{$process};", "my $address = $ip_of{$process}; return () if $address eq '203.0.113.1';"),
    ],
)
def test_the_routine_for_several_lines_is_known_only_as_it_was(old: str, new: str, tmp_path: Path) -> None:
    text = (Path(__file__).parent / "corpus/several-lines-fail-out.pl").read_text()
    file = tmp_path / "old.conf"
    file.write_text(text)
    assert joins_lines(evaluate(str(file)))
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert not joins_lines(evaluate(str(file)))

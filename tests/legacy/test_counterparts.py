# ruff: noqa: E501 - patterns, each in one piece
"""Each pattern and each section of the old configuration file, in words of ours, through real perl to what it means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from legacy.counterparts import MANY, PATTERNS, SECTIONS
from legacy.imported import imported
from pbs_fast.tables import parse


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_becomes_what_reads_its_lines(name: str, tmp_path: Path) -> None:
    case = PATTERNS[name]
    site = imported(case.perl + "\n1;\n", tmp_path)
    kinds = {}
    for line, kind, ip in case.lines:
        (event,) = site.events(line)
        assert event[:2] == (kind, ip), site.conversion.toml
        kinds[event[2]] = kind
        if "\n" not in line:  # the test's own line is one that the old pattern takes
            old = re.search(site.pattern("pat" if kind == "login" else "out_pat"), line)
            assert old is not None, "the old daemon would not take this line"
            assert old[2].removeprefix("::ffff:") == ip
    if case.formats:
        assert set(kinds) == case.formats
        assert not [own for own in site.own if own in kinds]
        assert (
            f"is what the built-in format {' and '.join(case.formats)}" in site.notes
            or "program = " in site.conversion.toml
        )
    else:
        assert set(kinds) <= set(site.own)
    assert site.settings.config.count_sessions == case.counts
    assert (site.settings.config.logtime is not None) == case.logtime
    assert all(re.search(r"line \d", note) for note in site.conversion.notes), "a note names its line"


SIMPLE = PATTERNS["uw"].perl


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_switched_on(name: str, tmp_path: Path) -> None:
    perl, keys, notes = SECTIONS[name]
    site = imported(f"{SIMPLE}\n{perl}\n1;\n", tmp_path)
    for key, value in keys.items():
        assert getattr(site.settings.config, key) == value, site.conversion.toml
    assert site.settings.config.flock, "where a library had no lock, ours still takes the MTA's"
    parse(site.settings.config.dbfile)
    for words in notes:
        assert words in site.notes
    assert not any("no counterpart" in note for note in site.conversion.notes)
    assert len(site.conversion.notes) == len(notes) + 1, site.notes


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_switched_off_is_not_there(name: str, tmp_path: Path) -> None:
    """As shipped, a section stands between two lines of `=cut`: POD to perl."""
    perl, _, _ = SECTIONS[name]
    plain = imported(f"{SIMPLE}\n1;\n", tmp_path).conversion
    off = imported(f"{SIMPLE}\n\n=cut #### {name} START ####\n\n{perl}\n\n=cut #### {name} END ####\n\n1;\n", tmp_path)
    assert off.conversion == plain


def test_many_patterns_become_many_formats(tmp_path: Path) -> None:
    site = imported(f"{MANY}\n1;\n", tmp_path)
    lines = {
        "dovecot: imap-login: Login: user=<lena>, method=PLAIN, rip=203.0.113.41, lip=192.0.2.10": "dovecot",
        "ipop3d[33]: Login user=rolf host=[203.0.113.41] nmsgs=3/12": "uw",
        "homepop[7]: welcome anna from 203.0.113.41": site.own[0],
    }
    for line, name in lines.items():
        assert site.events(f"Mar  4 07:12:09 mx {line}") == [("login", "203.0.113.41", name)]
    assert site.events("Mar  4 07:12:09 mx homepop[7]: bye anna from 203.0.113.41") == [
        ("logout", "203.0.113.41", site.own[0])
    ]
    assert len(site.own) == 1
    assert site.settings.config.count_sessions
    assert "@login_pats of custom_match, line 2" in site.notes


def test_many_patterns_switched_off(tmp_path: Path) -> None:
    site = imported(f"{SIMPLE}\n\n=cut MANY START\n\n{MANY}\n\n=cut MANY END\n\n1;\n", tmp_path)
    assert site.own == []
    assert "custom_match" not in site.notes


def test_all_settings_with_their_lines(tmp_path: Path) -> None:
    perl = """use strict;
$file_tail{'name'} = '/var/log/maillog';
@mynets = ('10.0.0.0/8, 192.168.0.0/16 hash:/etc/postfix/nets', '/etc/nets 2001:db8::/32');
$write = 0; $debug = 1;
$flock = 0;
$grace = 30*60;
$logto = '/var/log/pop';
$dbfile = '/etc/postfix/pop.db';
$dbvalue = "relay 'me'";
$file_tail{'tail'} = 0;
"""
    site = imported(perl + SIMPLE + "\n1;\n", tmp_path)
    config = site.settings.config
    assert config.watchlog == ("/var/log/maillog",)
    assert config.mynetworks == ("10.0.0.0/8", "192.168.0.0/16", "/etc/nets", "2001:db8::/32")
    assert (config.write, config.debug, config.flock, config.grace) == (False, True, False, 1800)
    assert (config.logto, config.dbfile, config.value) == ("/var/log/pop", "hash:/etc/postfix/pop.db.db", "relay 'me'")
    assert "@mynets (line 3): maps are not networks and were ignored: hash:/etc/postfix/nets" in site.notes
    assert "$file_tail{'tail'} = 0 (line 10): not needed" in site.notes
    for key, number in (("watchlog", 2), ("mynetworks", 3), ("grace", 6), ("logto", 7), ("dbfile", 8), ("value", 9)):
        assert re.search(rf"(?m)^{key} = .*  # was: .*\(line {number}\)", site.conversion.toml), site.conversion.toml


def test_code_of_ones_own_is_reported(tmp_path: Path) -> None:
    perl = """
sub block { system('/sbin/iptables', '-I', 'INPUT', '-s', $_[0], '-j', 'REJECT'); }
$add_func = \\&block;
$del_func = sub { };
sub custom_match { return; }
"""
    site = imported(perl + "1;\n", tmp_path)
    assert "$add_func = \\&block (line 3): code of your own has no counterpart; write it as a program" in site.notes
    assert "$del_func = \\&__ANON__ (line 4)" in site.notes
    assert "sub custom_match (line 5): no lists of patterns can be read out of its code" in site.notes


@pytest.mark.parametrize(
    ("pattern", "line", "ip"),
    [
        (r"qr/^[LOGTIME] \S+ mypop: hello \S+ at (\d+\.\d+\.\d+\.\d+)/i", "MyPop: Hello ann at 203.0.113.5", "203.0.113.5"),
        (r"qr{^[LOGTIME] \S+ mypop/(?:in|out): (?:a|b|cc) ([\d.]+)$}x", "mypop/out:cc203.0.113.5", None),
        (r"'^[LOGTIME] \S+ (?:mypop|yourpop)\[\d+\]: from ([\da-f:.]+)$'", "yourpop[1]: from 2001:db8::5", "2001:db8::5"),
        (r"q(^[LOGTIME] \S+ my\"pop: it's \x27(\d+\.\d+\.\d+\.\d+)\x27)", "my\"pop: it's '203.0.113.5'", "203.0.113.5"),
        ('"^[LOGTIME] \\\\S+ mypop: \\\\d{1,3} (\\\\d{1,3}\\\\.\\\\d{1,3}\\\\.\\\\d{1,3}\\\\.\\\\d{1,3})\\\\Z"', "mypop: 12 203.0.113.5", "203.0.113.5"),
        (r"'^[LOGTIME] [[:alnum:]]+ mypop: (?:::ffff:)?(\d+\.\d+\.\d+\.\d+)\z'", "mypop: ::ffff:203.0.113.5", "203.0.113.5"),
    ],
)  # fmt: skip
def test_spellings_of_perl(pattern: str, line: str, ip: str | None, tmp_path: Path) -> None:
    """`[LOGTIME]` in qr// is a class of characters to perl, but the old daemon replaced the text of it all the same."""
    site = imported(f"$pat = {pattern};\n1;\n", tmp_path)
    found = site.events(f"Mar  4 07:12:09 mx {line}")
    if ip is None:
        assert found == []
    else:
        assert [event[:2] for event in found] == [("login", ip)], site.conversion.toml + site.notes


def test_what_no_engine_here_can_run_is_reported(tmp_path: Path) -> None:
    site = imported(r"$pat = '^[LOGTIME] \S+ mypop: (?!no)\S+ (\d+\.\d+\.\d+\.\d+)';" + "\n1;\n", tmp_path)
    assert site.own == []
    assert "$pat, line 1: cannot be carried over: it" in site.notes
    assert "(?!no)" in site.notes


def test_a_tag_of_another_server_is_never_added(tmp_path: Path) -> None:
    """Courier's POP3 line under the tag of its IMAP server is what a forger writes (docs/FORMATS.md); so it is told."""
    perl = r"$pat = '^[LOGTIME] \S+ (?:pop3|imap)(?:d|login)(?:-ssl)?: LOGIN, user=\S+, ip=\[(\d+\.\d+\.\d+\.\d+)\]';"
    site = imported(perl + "\n1;\n", tmp_path)
    assert dict(site.settings.config.program_tags) == {}
    assert "it would also take lines such as" in site.notes
    for tag in ("imapd", "imapd-ssl", "imaplogin"):
        assert site.events(f"Mar  4 07:12:09 mx {tag}: LOGIN, user=tina, ip=[203.0.113.5]") == []


def test_a_known_tag_is_never_added_elsewhere(tmp_path: Path) -> None:
    """Only one format reads such lines, but these are tags of other servers: their users' text stands under it."""
    perl = PATTERNS["gnu-pop3d"].perl.replace("gnu-pop3d", "(?:gnu-pop3d|imapd|ipop3d)")
    site = imported(perl + "\n1;\n", tmp_path)
    assert dict(site.settings.config.program_tags) == {}
    assert "would also take lines such as" in site.notes


def test_a_tag_that_nobody_has_is_added(tmp_path: Path) -> None:
    site = imported(PATTERNS["qpopper"].perl + "\n1;\n", tmp_path)
    assert site.settings.config.program_tags == {"qpopper": ("in.popper",)}
    line = 'in.popper[1]: (v4.1.0) POP login by user "hanna" at (adsl.example.com) 198.51.100.201'
    assert site.events(f"Mar  4 07:12:09 mx {line}") == [("login", "198.51.100.201", "qpopper")]


BLOCK = r"""
my @login_fail_pats = (
    '^[LOGTIME] \S+ sshd\[\d+\]: Failed password for \S+ from (\d+\.\d+\.\d+\.\d+)',
    '^[LOGTIME] \S+ homeftpd\[\d+\]: refused \S+ from (\d+\.\d+\.\d+\.\d+)$',
);
s/\[LOGTIME\]/$logtime_pat/ for @login_fail_pats;
sub custom_match { for my $each (@login_fail_pats) { return ($1, $2, 1) if /$each/ } return }
$grace = 3*60*60;
$dbfile = '/var/lib/ip-blocking';
$add_func = sub { system('iptables', '-A', 'INPUT', '-s', $_[0], '-j', 'REJECT') };
$del_func = sub { system('iptables', '-D', 'INPUT', '-s', $_[0], '-j', 'REJECT') };
"""


def test_a_configuration_that_blocks_never_grants(tmp_path: Path) -> None:
    """The program turned round: the catalogue's logins must not go where its failures went."""
    site = imported(BLOCK + "1;\n", tmp_path)
    config = site.settings.config
    assert (config.catalogue, config.grace, config.count_sessions) == (False, 10_800, False)
    assert [each.name for each in site.site.formats] == site.own
    assert len(site.own) == 2
    head = "Mar  4 07:12:09 mx "
    assert site.events(f"{head}sshd[7]: Failed password for root from 203.0.113.5 port 4 ssh2") == [
        ("login", "203.0.113.5", site.own[0])
    ]
    assert site.events(PATTERNS["dovecot"].lines[0][0]) == [], "a successful login is nothing here"
    assert (
        "$add_func = \\&__ANON__ (line 10): code of your own has no counterpart; write it as a program, and"
        in site.notes
    )


def test_a_configuration_that_grants_by_code_keeps_the_catalogue(tmp_path: Path) -> None:
    site = imported(PATTERNS["dovecot"].perl + "\nsub open_it { }\n$add_func = \\&open_it;\n1;\n", tmp_path)
    assert site.settings.config.catalogue
    assert site.events(PATTERNS["dovecot"].lines[0][0]) == [("login", "203.0.113.41", "dovecot")]


JOINED = r"""
$PID_pat = '^[LOGTIME] \S+ homepop\[(\d+)\]: ';
$IP_pat = $PID_pat . 'connect from (?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$';
$OK_pat = $PID_pat . 'user (\S+|"[^"]*") is in';
$FAIL_pat = $PID_pat . '(?:refused|gone) ';
$OUT_pat = $PID_pat . 'bye$';
"""


def test_three_patterns_of_a_server_of_nobodys(tmp_path: Path) -> None:
    site = imported(JOINED + "1;\n", tmp_path)
    (name,) = site.own
    assert site.settings.config.count_sessions

    def events(*messages: str, pids: str = "") -> list[tuple[str, str | None, str]]:
        numbers = pids.split() or ["7"] * len(messages)
        lines = [f"Mar  4 07:12:09 mx homepop[{pid}]: {text}" for pid, text in zip(numbers, messages, strict=True)]
        return site.events("\n".join(lines))

    login, logout = ("login", "203.0.113.5", name), ("logout", "203.0.113.5", name)
    assert events("connect from 203.0.113.5", "user ann is in, 3 messages") == [login], site.conversion.toml
    assert events("connect from ::ffff:203.0.113.5", 'user "ann b" is in', "bye") == [login, logout]
    assert events("connect from 203.0.113.5", "refused ann", "user ann is in") == []
    assert events("connect from 203.0.113.5", "user ann is in", pids="7 8") == []
    assert events("user ann is in") == []

# ruff: noqa: E501 - patterns and lines of logs, each in one piece
"""Configurations of the old program, written for these tests: one for each of its patterns and of its sections.

Each pattern is written as administrators of its time wrote them, `[LOGTIME]`, dotted addresses and all; a line of the
server stands beside it with what must come out. Facts of the servers' lines: docs/FORMATS.md's sources.
"""

from __future__ import annotations

from typing import NamedTuple

IP = r"(\d+\.\d+\.\d+\.\d+)"
T = "Mar  4 07:12:09"


class Case(NamedTuple):
    """A configuration and what it must become."""

    perl: str
    lines: tuple[tuple[str, str, str], ...]
    """(line, login or logout, address)."""
    formats: frozenset[str]
    """The built-in formats that read them; empty: formats of its own."""
    counts: bool = False
    logtime: bool = False


def _case(
    perl: str, *lines: tuple[str, str, str], formats: str = "", counts: bool = False, logtime: bool = False
) -> Case:
    return Case(perl, lines, frozenset(formats.split()), counts, logtime)


def _login(text: str, ip: str, head: str = f"{T} mx ") -> tuple[str, str, str]:
    return head + text, "login", ip


def _logout(text: str, ip: str, head: str = f"{T} mx ") -> tuple[str, str, str]:
    return head + text, "logout", ip


PATTERNS: dict[str, Case] = {
    "uw": _case(
        rf"$pat = '^[LOGTIME] \S+ (?:ipop3d|imapd)\[\d+\]: (?:Login|Authenticated|Auth) user=\S+ host=(?:\S+ )?\[{IP}\]';",
        _login("ipop3d[3301]: Login user=rolf host=cable.example.net [203.0.113.130] nmsgs=3/12", "203.0.113.130"),
        _login("imapd[3305]: Authenticated user=rolf host=[198.51.100.8] mech=PLAIN", "198.51.100.8"),
        formats="uw",
    ),
    "uw with other tags": _case(
        r"$pat = '^[LOGTIME] \S+ (?:ipop[23]d|imapd)\[\d+\]: (?:Login|Auth(?:enticated)?) user=\S+ host=(?:\S+ )?\[(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\]';",
        _login("imapd[3305]: Login user=rolf host=h.example.net [198.51.100.8]", "198.51.100.8"),
        formats="uw",
    ),
    "gnu-pop3d": _case(
        rf"$pat = '^[LOGTIME] \S+ gnu-pop3d\[\d+\]: User \S+ logged in with mailbox \S+ from {IP}$';",
        _login("gnu-pop3d[88]: User quirin logged in with mailbox /var/mail/quirin from 198.51.100.7", "198.51.100.7"),
        formats="gnu-pop3d",
    ),
    "qpopper": _case(
        rf"""$pat = '^[LOGTIME] \S+ (?:in\.)?q?popper\[\d+\]: \(v\d\S*\) POP login by user "[^"]+" at \(\S+\) {IP}';""",
        _login('qpopper[911]: (v4.1.0) POP login by user "hanna" at (adsl.example.com) 198.51.100.201', "198.51.100.201"),
        formats="qpopper",
    ),
    "qpopper, own log": _case(
        rf"""$pat = '^[LOGTIME] \[\d+\] \(v\d\S*\) POP login by user "[^"]+" at \(\S+\) {IP}';""",
        _login('[911] (v4.1.0) POP login by user "hanna" at (adsl.example.com) 198.51.100.201', "198.51.100.201", f"{T} "),
        formats="qpopper",
    ),
    "qpopper, statistics": _case(
        rf"$pat = '^[LOGTIME] \S+ (?:in\.)?q?popper\[\d+\]: Stats: \S+ \d+ \d+ \d+ \d+ \S+ {IP}$';",
        _login("popper[920]: Stats: hanna 2 5120 0 0 adsl.example.com 198.51.100.201", "198.51.100.201"),
        formats="qpopper",
    ),
    "qpopper on Solaris 2.6": _case(
        r"$logtime_pat = '\w\w\w (\w\w\w +\d+ \d+:\d+:\d+ \d\d\d\d)';" + "\n"
        rf"$pat = '^[LOGTIME] \[\d+\] Stats: \S+ \d+ \d+ \d+ \d+ \S+ {IP}';",
        _login("[920] Stats: hanna 2 5120 0 0 a.example.com 198.51.100.201", "198.51.100.201", f"Wed {T} 2026 "),
        formats="qpopper",
        logtime=True,
    ),
    "cyrus": _case(
        rf"$pat = '^[LOGTIME] \S+ (?:\S+/)?(?:pop3d?|imapd?)\[\d+\]: login: (?:\S+ ?)?\[{IP}\] \S+ (?:plaintext|PLAIN)';",
        _login("imapd[77]: login: client.example.org[198.51.100.9] otto plaintext", "198.51.100.9"),
        _login("imap[77]: login: client.example.org [198.51.100.9] otto plaintext User logged in", "198.51.100.9"),
        formats="cyrus",
    ),
    "courier": _case(
        rf"$pat = '^[LOGTIME] \S+ (?:courierpop3login|pop3d(?:-ssl)?|imapd): LOGIN, user=\S+, ip=\[(?:::ffff:)?{IP}\]';" + "\n"
        rf"$out_pat = '^[LOGTIME] \S+ (?:courierpop3login|pop3d(?:-ssl)?|imapd): (?:LOGOUT|TIMEOUT|DISCONNECTED), user=\S+, ip=\[(?:::ffff:)?{IP}\]';",
        _login("pop3d: LOGIN, user=tina, ip=[::ffff:198.51.100.12], port=[4711]", "198.51.100.12"),
        _logout("pop3d: LOGOUT, user=tina, ip=[::ffff:198.51.100.12], port=[4711], top=0, retr=0", "198.51.100.12"),
        formats="courier-pop3",
        counts=True,
    ),
    "vpopmail": _case(
        rf"$pat = '^[LOGTIME] \S+ vpopmail\[\d+\]: vchkpw-(?:pop3|imap)s?: \((?:PLAIN|CRAM-MD5)\) login success \S+:{IP}$';",
        _login("vpopmail[55]: vchkpw-pop3: (PLAIN) login success sven@example.com:203.0.113.222", "203.0.113.222"),
        formats="vpopmail",
    ),
    "cucipop": _case(
        rf"$pat = '^[LOGTIME] \S+ cucipop\[\d+\]: \S+ {IP} \d+, \d+ \(\d+\), \d+ \(\d+\)';",
        _login("cucipop[55]: vera 203.0.113.3 10, 0 (0), 2 (512)", "203.0.113.3"),
        formats="cucipop",
    ),
    "vm-pop3d": _case(
        rf"""$pat = "^[LOGTIME] \\S+ vm-pop3d\\[\\d+\\]: User '\\S+' logged in from {IP.replace(chr(92), chr(92) * 2)}";""",
        _login("vm-pop3d[40]: User 'petra@example.net' logged in from 203.0.113.61, nmsgs=0", "203.0.113.61"),
        formats="vm-pop3d",
    ),
    "vm-pop3d, old": _case(
        rf"""$PID_pat = '^[LOGTIME] \S+ vm-pop3d\[(\d+)\]: ';
$IP_pat = $PID_pat . 'Connect from {IP}';
$OK_pat = $PID_pat . "User '.*' logged in";""",
        (f"{T} mx vm-pop3d[40]: Connect from 203.0.113.61\n{T} mx vm-pop3d[40]: User 'petra' logged in", "login", "203.0.113.61"),
        formats="vm-pop3d",
    ),
    "popa3d": _case(
        rf"""$PID_pat = '^[LOGTIME] \S+ popa3d\[(\d+)\]: ';
$IP_pat = $PID_pat . 'Session from {IP}$';
$OK_pat = $PID_pat . 'Authentication passed for \S+$';
$FAIL_pat = $PID_pat . 'Authentication failed';
$OUT_pat = $PID_pat . '\d+ \(\d+\) deleted, ';""",
        (f"{T} box popa3d[61]: Session from 192.0.2.200\n{T} box popa3d[61]: Authentication passed for ines", "login", "192.0.2.200"),
        formats="popa3d",
        counts=True,
    ),
    "popa3d, patched": _case(
        rf"$pat = '^[LOGTIME] \S+ popa3d\[\d+\]: Authentication passed for \S+ -- \[{IP}\]';",
        _login("popa3d[61]: Authentication passed for ines -- [192.0.2.200]", "192.0.2.200"),
        formats="popa3d-patched",
    ),
    "perdition": _case(
        rf"""$pat = '^[LOGTIME] \S+ perdition\[\d+\]: Auth: {IP}->[\d.]+ user="\S+" server="\S+" port="\d+" status="ok"';""",
        _login('perdition[35]: Auth: 198.51.100.33->192.0.2.5 user="tim" server="store2" port="110" status="ok"', "198.51.100.33"),
        formats="perdition",
    ),
    "solidpop3d": _case(
        rf"$pat = '^[LOGTIME] \S+ solid-pop3d\[\d+\]: user \S+ authenticated - {IP}$';",
        _login("solid-pop3d[22]: user jonas authenticated - 203.0.113.18", "203.0.113.18"),
        formats="solid-pop3d",
    ),
    "solidpop3d, extended": _case(
        rf"""$pat = '^[LOGTIME] \S+ solid-pop3d\[\d+\]: user \S+ authenticated - (?:\S+ \[)?{IP}\]?$';
$out_pat = '^[LOGTIME] \S+ solid-pop3d\[\d+\]: session ended for user \S+ - (?:\S+ \[)?{IP}\]?$';""",
        _login("solid-pop3d[22]: user jonas authenticated - 203.0.113.18", "203.0.113.18"),
        _logout("solid-pop3d[22]: session ended for user jonas - 203.0.113.18", "203.0.113.18"),
        formats="solid-pop3d",
        counts=True,
    ),
    "teapop": _case(
        rf"$pat = '^[LOGTIME] \S+ teapop\[\d+\]: Successful login for \S+ \[\d+\.\d+\.\d+\.\d+\] from \S+ \[{IP}\]';",
        _login("teapop[17]: Successful login for karla@example.org [192.0.2.3] from unknown [198.51.100.150]", "198.51.100.150"),
        formats="teapop",
    ),
    "dovecot": _case(
        rf"$pat = '^[LOGTIME] \S+ dovecot(?:\[\d+\])?: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip=(?:::ffff:)?{IP},';",
        _login("dovecot: imap-login: Login: user=<lena>, method=PLAIN, rip=203.0.113.41, lip=192.0.2.10, TLS", "203.0.113.41"),
        formats="dovecot",
    ),
    "dovecot, own log": _case(
        rf"""$pat = '^[LOGTIME] (?:imap|pop3)-login: Info: Login: user=<[^>]*>, method=\S+, rip=(?:::ffff:)?{IP}, ';
$out_pat = '^[LOGTIME] (?:imap|pop3)-login: Info: proxy\(\S+\): disconnecting {IP}';""",
        _login("imap-login: Info: Login: user=<lena>, method=PLAIN, rip=203.0.113.41, lip=192.0.2.10, TLS", "203.0.113.41", f"{T} "),
        formats="dovecot",
        counts=True,
    ),
    "dovecot, older own log": _case(
        rf"""$pat = '^dovecot: [LOGTIME] Info: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip=(?:::ffff:)?{IP}, ';
$out_pat = '^dovecot: [LOGTIME] Info: (?:IMAP|POP3)\(\S+ {IP}\): Disconnected';""",
        _login("Info: imap-login: Login: user=<lena>, method=PLAIN, rip=203.0.113.41, lip=192.0.2.10, TLS", "203.0.113.41", f"dovecot: {T} "),
        formats="dovecot",
        counts=True,
    ),
    "apple": _case(
        r"$logtime_pat = '(\w\w\w +\d+ \d\d\d\d \d+:\d+:\d+)';" + "\n"
        rf"""$pat = '^[LOGTIME] IMAP User "[^"]+" log on successful from {IP}';""",
        _login('IMAP User "marie" log on successful from 203.0.113.77', "203.0.113.77", "Mar  4 2026 07:12:09 "),
        formats="apple-mail",
    ),
    "a server of nobody's": _case(
        rf"""$pat = '^[LOGTIME] \S+ homepop\[\d+\]: welcome (\S+|"[^"]+"), you come from {IP}!$';
$out_pat = '^[LOGTIME] \S+ homepop\[\d+\]: bye (?:\S+|"[^"]+") of {IP}$';""".replace(r"(\S+|", r"(?:\S+|"),
        _login('homepop[7]: welcome "anna b", you come from 203.0.113.5!', "203.0.113.5"),
        _logout("homepop[7]: bye anna of 203.0.113.5", "203.0.113.5"),
        counts=True,
    ),
    "a server with another tag": _case(
        rf"$pat = '^[LOGTIME] \S+ backend-mail: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip={IP}, lip=';",
        _login("backend-mail: pop3-login: Login: user=<lena>, method=PLAIN, rip=203.0.113.41, lip=192.0.2.10", "203.0.113.41"),
        formats="dovecot",
    ),
}  # fmt: skip

#: Section of the old file -> (what stands in it, keys of the TOML and their values, words of notes).
SECTIONS: dict[str, tuple[str, dict[str, object], tuple[str, ...]]] = {
    "syslog": (
        "use Sys::Syslog;\nopenlog('pop-before-smtp', 'pid', 'mail');\n$log_func = \\&syslog;",
        {"logto": "syslog"},
        (),
    ),
    "File::Tail": (
        "use File::Tail;\n$tail_init_func = \\&init_FileTail;\n$tail_getline_func = \\&getline_FileTail;",
        {},
        (),
    ),
    "stdin": ("$tail_init_func = 0;\n$tail_getline_func = \\&getline_stdin;", {"watchlog": ("-",)}, ()),
    "NDBM": (
        "use NDBM_File;\n$tie_func = \\&tie_NDBM;\n$flock = 0;",
        {"dbfile": "hash:/etc/postfix/pop-before-smtp"},
        ("NDBM is not written any more; hash: is the nearest. Where the MTA says dbm:",),
    ),
    "BerkeleyDB": (
        "use BerkeleyDB;\n$tie_func = \\&tie_BerkeleyDB;\n$sync_func = \\&sync_BerkeleyDB;\n$flock = 0;",
        {"dbfile": "hash:/etc/postfix/pop-before-smtp"},
        (),
    ),
    "tcprules": (
        "our $TCPRULES = '/usr/bin/tcprules';\n$dbfile = '/etc/tcp.smtp.cdb';\n$flock = 0;\n$mynet_func = \\&mynet_tcprules;\n"
        "$tie_func = \\&tie_tcprules;\n$sync_func = \\&sync_tcprules;\n$add_func = \\&add_tcprules;\n"
        "$del_func = \\&del_tcprules;",
        {"dbfile": "tcprules:/etc/tcp.smtp?program=/usr/bin/tcprules", "mynetworks": ("127.0.0.0/8",)},
        ("docs/MTA-QMAIL.md, rules=", "add those that may relay anyway"),
    ),
    "Courier": (
        "$dbfile = '/etc/courier/smtpaccess';\n$dbvalue = 'allow,RELAYCLIENT';\n$mynet_func = \\&mynet_courier;\n"
        "$tie_func = \\&tie_courier;\n$flock_func = \\&flock_courier;\n$sync_func = \\&sync_courier;",
        {"dbfile": "courier:/etc/courier/smtpaccess", "value": "ok"},
        ("no restart of esmtpd is needed any more", "add those that may relay anyway"),
    ),
    "Sendmail, flock": (
        "$dbfile = '/etc/mail/popauth';\n$mynet_func = \\&mynet_sendmail;\n$tie_func = \\&tie_sendmail;\n"
        "$flock_func = \\&flock_sendmail;\n$sync_func = \\&sync_sendmail;",
        {"dbfile": "sendmail:/etc/mail/popauth", "mynetworks": ("127.0.0.0/8",)},
        ("add those that may relay anyway",),
    ),
    "Sendmail, fcntl and signal": (
        "use Fcntl;\n$dbfile = '/etc/mail/popauth';\n$tie_func = \\&tie_sendmail;\n$flock_func = \\&fcntl_sendmail;\n"
        "$sync_func = \\&sync_sendmail;\n$signal_sendmail = 1;",
        {"dbfile": "sendmail:/etc/mail/popauth?lock=fcntl&signal=/run/sendmail/mta/sendmail.pid"},
        ("check its pid file",),
    ),
    "CDB": (
        "use CDB_File;\n$dbfile = '/etc/postfix/pop-before-smtp.cdb';\n$tie_func = \\&tie_CDB;\n"
        "$sync_func = \\&sync_CDB;\n$flock = 0;",
        {"dbfile": "cdb:/etc/postfix/pop-before-smtp"},
        (),
    ),
}

#: The section that joins several patterns.
MANY = rf"""
my @login_pats = (
    '^[LOGTIME] \S+ dovecot(?:\[\d+\])?: (?:imap|pop3)-login: Login: user=<[^>]*>, method=\S+, rip={IP},',
    '^[LOGTIME] \S+ ipop3d\[\d+\]: Login user=\S+ host=\S* ?\[{IP}\]',
    '^[LOGTIME] \S+ homepop\[\d+\]: welcome \S+ from {IP}$',
);
my @logout_pats = ('^[LOGTIME] \S+ homepop\[\d+\]: bye \S+ from {IP}$');
foreach (@login_pats, @logout_pats) {{ s/\[LOGTIME\]/$logtime_pat/; $_ = qr/$_/; }}
sub custom_match {{
    for my $each (@login_pats) {{ return ($1, $2, 1) if /$each/; }}
    for my $each (@logout_pats) {{ return ($1, $2, -1) if /$each/; }}
    return ();
}}
"""

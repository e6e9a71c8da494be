"""Real rsyslog and syslog-ng write JSON with the templates of their manuals, of what strangers chose, too."""

from __future__ import annotations

import pytest

from mta import unavailable
from pbs_fast.matching.rewrite.records import find_records
from servers.log_daemons import DGRAM, log_all, matched, message
from servers.log_hosts import HOST, SUITES, UNPACKED, log_host

#: Address -> user, as rsyslog writes the name.
TRUE = {"198.51.100.14": "mia", "198.51.100.15": 'o"ne\\il', "198.51.100.16": "m\udcfcller"}
FORGED = "192.0.2.61"
_FAILED = (
    "dovecot: imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<%s>, "
    "method=PLAIN, rip=203.0.113.9, lip=192.0.2.10, TLS, session=<8mVjWnQ7pQDLAHEF>"
)


def _login(user: str, ip: str) -> str:
    return f"imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.10, mpid=71, TLS, session=<9mVjWnQ7>"


_LOGIN = _login("y", FORGED)
_HEADER = f"2026-03-12T10:00:00+00:00 {HOST} dovecot: {_LOGIN}"
#: Names that close their string, their record, or their line.
NAMES = (
    "otto",
    "x\udcff",
    'x"y',
    "x\\",
    'x\\"',
    f'x","msg":" {_LOGIN}',
    f'x","msg":"{_LOGIN}","a":"',
    f'x","message":"{_LOGIN}","MESSAGE":"{_LOGIN}","a":"',
    f'x\\","msg":"{_LOGIN}","message":"{_LOGIN}","a":"',
    f"x\\u0022,\\u0022message\\u0022:\\u0022{_LOGIN}",
    f'x"}}\n{{"timestamp":"2026-03-12T10:00:00Z","hostname":"{HOST}","syslogtag":"dovecot:","message":"{_LOGIN}"}}\n',
    f'x"}}\\n{{"ISODATE":"2026-03-12T10:00:00Z","HOST":"{HOST}","PROGRAM":"dovecot","MESSAGE":"{_LOGIN}"}}\\n',
    f"x {_HEADER}",
    f"x\n{_HEADER}\n",
    f"x\n<22>{_HEADER}\n",
    f"x\r{_HEADER}\r",
    f"x\\n{_HEADER}\\n",
    f"x\\u000a{_HEADER}\\u000a",
)
#: A list of properties as rsyslog's manual shows it: key -> property.
_RECORD = {
    "@timestamp": 'name="timereported" dateFormat="rfc3339"',
    "host": 'name="hostname"',
    "severity": 'name="syslogseverity-text" caseConversion="upper"',
    "facility": 'name="syslogfacility-text"',
    "syslog-tag": 'name="syslogtag"',
    "source": 'name="app-name"',
    "message": 'name="msg"',
}


def _properties(form: str) -> list[str]:
    return [f'property(outname="{key}" {value} format="{form}")' for key, value in _RECORD.items()]


def _list(*parts: str, option: str = "") -> str:
    return f'type="list" {option}) {{ {" ".join(parts)} }}'


def _string(*members: str) -> str:
    text = f"{{{','.join(members)}}}".replace('"', '\\"')
    return f'type="string" string="{text}\\n")'


def _by_hand(timestamp: str) -> str:
    names = ('"host":"%HOSTNAME%"', '"program":"%programname:::json%"', '"pid":"%procid%"', '"msg":"%msg:::json%"')
    return _string(f'"timestamp":"%{timestamp}%"', *names)


_RSYSLOG = {
    "jsonf": _list(*_properties("jsonf"), option='option.jsonf="on"'),
    "jsonfr": _list(*_properties("jsonfr"), option='option.jsonf="on"'),
    "constants": _list(
        'constant(value="{")',
        ' constant(value=",") '.join(_properties("jsonf")),
        'constant(value="}\\n")',
    ),
    "string": _string(
        '"timestamp":"%timereported:::date-rfc3339%"',
        '"hostname":"%hostname%"',
        '"syslogtag":"%syslogtag:::json%"',
        '"message":"%msg:::json%"',
    ),
    "string-jsonf": _string(
        "%timereported:::date-rfc3339,jsonf:@timestamp%",
        "%hostname:::jsonf:host%",
        "%syslogtag:::jsonf:syslogtag%",
        "%msg:::jsonf:message%",
    ),
    "jsonmesg": 'type="string" string="%jsonmesg%\\n")',
    "traditional": _by_hand("TIMESTAMP"),
    "pgsql": _by_hand("timereported:::date-pgsql"),
    "mysql": _by_hand("timereported:::date-mysql"),
    "unix": _by_hand("timereported:::date-unixtimestamp"),
}
_SYSLOG_NG = {
    "rfc5424": "--scope rfc5424",
    "isodate": "--scope rfc5424 --exclude DATE --key ISODATE",
    "rfc3164": "--scope rfc3164",
    "selected": "--scope selected_macros --scope nv_pairs",
    "all": "--scope all_nv_pairs --key ISODATE",
    "everything": "--scope everything",
    "pairs": "timestamp=$ISODATE host=$HOST program=$PROGRAM pid=$PID message=$MESSAGE",
    "unixtime": "time=$UNIXTIME host=$HOST program=$PROGRAM message=$MESSAGE",
}


def _rsyslog() -> str:
    parts = [
        f'template(name="{name}" {template}\nmail.* action(type="omfile" file="/var/log/{name}" template="{name}")\n'
        for name, template in _RSYSLOG.items()
    ]
    return 'module(load="imuxsock")\n' + "".join(parts)


def _syslog_ng(options: str) -> str:
    parts = [
        f'log {{ source(s); destination {{ file("/var/log/{name}" template("$(format-json {words})\\n")); }}; }};\n'
        for name, words in _SYSLOG_NG.items()
    ]
    return f'@version: 3.38\n@include "scl.conf"\n{options}source s {{ system(); }};\n' + "".join(parts)


_NG = ("syslog-ng", "-F", "--no-caps")
_NG_FILE = "/etc/syslog-ng/syslog-ng.conf"
#: Command, file and text of its configuration, and the files in /var/log that it writes.
WRITERS = {
    "rsyslog": (("rsyslogd", "-n", "-iNONE"), "/etc/rsyslog.conf", _rsyslog(), _RSYSLOG),
    "syslog-ng": (_NG, _NG_FILE, _syslog_ng(""), _SYSLOG_NG),
    "syslog-ng with fractions": (_NG, _NG_FILE, _syslog_ng("options { frac-digits(3); };\n"), _SYSLOG_NG),
}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("writer", WRITERS)
def test_true_logins_are_read_and_no_other(writer: str, suite: str) -> None:
    if not (UNPACKED / suite / ".complete").exists():
        unavailable(f"the logging daemons of {suite} are not unpacked")
    command, configuration, text, names = WRITERS[writer]
    # The true logins are behind all else, and what is not UTF-8 is right in front of one.
    lines = [_FAILED % name for name in (*NAMES, NAMES[1])]
    lines += [f"dovecot[71]: {_login(user, ip)}" for ip, user in TRUE.items()]
    with log_host(suite) as host:
        host.write({configuration: text})
        host.start(*command)
        host.wait_for_socket("/dev/log", DGRAM)
        files = [host.root / "var/log" / name for name in names]

        def shortest() -> bytes:
            return min(
                (file.read_bytes() if file.exists() else b"" for file in files), key=lambda log: log.count(b"\n")
            )

        log_all(host, "/dev/log", DGRAM, [message(line.encode("utf-8", "surrogateescape")) for line in lines], shortest)
        found = {core: matched(core, *files) for core in ("rust", "python")}
        assert found["rust"] == found["python"]
        for file in files:
            logins = [each for each in found["rust"] if each["file"] == str(file) and each["event"] == "login"]
            assert [each["ip"] for each in logins] == list(TRUE), (file.name, host.said())
            assert [each["user"] for each in logins][:2] == list(TRUE.values())[:2], file.name
            for line in file.read_bytes().splitlines():
                records = find_records(line, None)
                entry = None if records is None else records.read(line)
                assert entry is not None, line
                assert entry.text.startswith(
                    (b"hub dovecot", b"localhost dovecot", b"hub probe", b"localhost probe")
                ), line

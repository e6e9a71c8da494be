"""Configurations of logging daemons, and whether a line feed of a stranger reaches a mail log through them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbs_fast.health.loggers import raw_line_feeds

MAIL = "/var/log/mail.log"
_NG = "etc/syslog-ng/syslog-ng.conf"
_SYSTEM = "source s_src { system(); internal(); };\n"
_FILE = 'destination d_mail { file("/var/log/mail.log"); };\n'
_SAFE_FILE = 'destination d_mail { file("/var/log/mail.log" perm(0640) flags(no-multi-line)); };\n'
_PATH = "log { source(s_src); filter(f_mail); destination(d_mail); };\n"


def _findings(root: Path, text: str, *logs: str, program: str = "syslog-ng", file: str = _NG) -> list[str]:
    """What is said of a configuration, `root` in names left out."""
    (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
    (root / "usr/sbin" / program).touch()
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)
    return [finding.text.replace(str(root), "") for finding in raw_line_feeds(logs or [MAIL], root)]


UNSAFE = {
    "as Debian ships it": _SYSTEM + _FILE + _PATH,
    "a source's flag that does nothing": "source s_src { system(flags(no-multi-line)); };\n" + _FILE + _PATH,
    "journal": "source s_src { systemd-journal(flags(no-multi-line)); };\n" + _FILE + _PATH,
    "datagrams": 'source s_src { unix-dgram("/dev/log"); };\n' + _FILE + _PATH,
    "underscores": 'source s_src { unix_dgram("/dev/log"); };\n' + _FILE + _PATH,
    "a stream, which no flag mends": 'source s_src { unix-stream("/dev/log" flags(no-multi-line)); };\n'
    + _SAFE_FILE
    + _PATH,
    "one of two sources": 'source s_src { unix-dgram("/dev/log" flags(no-multi-line)); udp(port(514)); };\n'
    + _FILE
    + _PATH,
    "all in place": f'log {{ source {{ system(); }}; destination {{ file("{MAIL}"); }}; }};\n',
    "an embedded path": _SYSTEM + _FILE + "log { source(s_src); log { filter(f_mail); destination(d_mail); }; };\n",
    "a junction": _SYSTEM + _FILE + "log { junction { channel { source(s_src); }; }; destination(d_mail); };\n",
    "all sources": _SYSTEM + _FILE + "log { destination(d_mail); flags(catchall); };\n",
    "a macro in the name": _SYSTEM + 'destination d_mail { file("/var/log/$FACILITY.log"); };\n' + _PATH,
    "a variable": _SYSTEM + '@define logs "/var/log"\ndestination d_mail { file("`logs`/mail.log"); };\n' + _PATH,
    "a block": 'block source mine() { unix-dgram("/dev/log"); };\nsource s_src { mine(); };\n' + _FILE + _PATH,
    "quoted references": _SYSTEM + _FILE + 'log { source("s_src"); destination("d_mail"); };\n',
    "the setting in a comment": _SYSTEM + _FILE.replace("; };", "; }; # flags(no-multi-line)") + _PATH,
    "a template with the message": _SYSTEM
    + 'destination d_mail { file("/var/log/mail.log" template("$ISODATE $HOST $MSGHDR$MSG\\n")); };\n'
    + _PATH,
    "a rewrite of the first line feed only": _SYSTEM
    + _FILE
    + 'rewrite r { subst("\\n", " ", value("MESSAGE")); };\nlog { source(s_src); rewrite(r); destination(d_mail); };\n',
}
SAFE = {
    "the destination's flag": _SYSTEM + _SAFE_FILE + _PATH,
    "among other flags": _SYSTEM + _SAFE_FILE.replace("no-multi-line", "threaded, no_multi_line") + _PATH,
    "the source's flag": 'source s_src { unix-dgram("/dev/log" flags(no-multi-line)); internal(); };\n' + _FILE + _PATH,
    "no mail log": _SYSTEM + 'destination d_mail { file("/var/log/auth.log"); };\n' + _PATH,
    "another mail log than the one that is followed": _SYSTEM
    + _SAFE_FILE
    + 'destination d_err { file("/var/log/mail.err"); };\n'
    + _PATH
    + "log { source(s_src); destination(d_err); };\n",
    "a destination that nothing writes to": _SYSTEM + _FILE,
    "a rewrite of all line feeds": _SYSTEM
    + _FILE
    + 'rewrite r { subst("[\\r\\n]", " ", value("MESSAGE") type("pcre") flags("global")); };\n'
    + "log { source(s_src); rewrite(r); destination(d_mail); };\n",
    "JSON": _SYSTEM + 'destination d_mail { file("/var/log/mail.log" template("$(format-json .*)\\n")); };\n' + _PATH,
    "all in comments": "".join(f"# {line}\n" for line in (_SYSTEM + _FILE + _PATH).splitlines()),
    "files as sources": 'source s_src { file("/var/log/other" flags(no-parse)); internal(); };\n' + _FILE + _PATH,
    "": "",
    "nonsense": "}}}{{(;;@include\n'",
}


@pytest.mark.parametrize("name", UNSAFE)
def test_is_found(tmp_path: Path, name: str) -> None:
    (said,) = _findings(tmp_path, UNSAFE[name])
    assert said.startswith("/etc/syslog-ng/syslog-ng.conf: ")
    assert "so a stranger can forge logins in " in said
    assert "\n" not in said
    assert ("use unix-dgram() with" if "stream" in name else "set flags(no-multi-line) on the destination") in said


@pytest.mark.parametrize("name", SAFE)
def test_gives_no_false_alarm(tmp_path: Path, name: str) -> None:
    assert not _findings(tmp_path, SAFE[name])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"mail.* -{MAIL}\n", False),
        (f"$EscapeControlCharactersOnReceive off\nmail.* -{MAIL}\n", True),
        (f'global(parser.escapeControlCharactersOnReceive="off")\nmail.* {MAIL}\n', True),
        (f"#$EscapeControlCharactersOnReceive off\nmail.* -{MAIL}\n", False),
        (f"$EscapeControlCharactersOnReceive off\n$escapeControlCharactersOnReceive on\nmail.* -{MAIL}\n", False),
        ("$EscapeControlCharactersOnReceive off\nauth.* /var/log/auth.log\n", False),
    ],
)
def test_rsyslog(tmp_path: Path, text: str, found: bool) -> None:
    assert bool(_findings(tmp_path, text, program="rsyslogd", file="etc/rsyslog.conf")) == found


def test_includes_are_followed_once(tmp_path: Path) -> None:
    more = tmp_path / "etc/syslog-ng/conf.d/mail.conf"
    more.parent.mkdir(parents=True)
    more.write_text('@include "/etc/syslog-ng/syslog-ng.conf"\n' + _FILE + _PATH)
    (said,) = _findings(
        tmp_path, '@version: 4.4\n@include "scl.conf"\n@include "/etc/syslog-ng/conf.d/*.conf"\n' + _SYSTEM
    )
    assert said.startswith("/etc/syslog-ng/conf.d/mail.conf: system()")
    more.write_text(_SAFE_FILE + _PATH)
    assert not _findings(tmp_path, '@include "conf.d/"\n' + _SYSTEM)


def test_a_configuration_without_its_program_is_not_the_logger(tmp_path: Path) -> None:
    assert _findings(tmp_path, UNSAFE["as Debian ships it"])
    (tmp_path / "usr/sbin/syslog-ng").unlink()
    assert not raw_line_feeds([MAIL], tmp_path)


def test_without_a_file_nothing_is_asked(tmp_path: Path) -> None:
    assert _findings(tmp_path, UNSAFE["as Debian ships it"])
    assert not raw_line_feeds([], tmp_path)


@pytest.mark.parametrize("kind", ["fifo", "directory", "large", "deep", "loop of links"])
def test_what_cannot_be_read_is_said(tmp_path: Path, kind: str) -> None:
    """Never an exception, never a wait."""
    assert not _findings(tmp_path, "")
    file = tmp_path / _NG
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    elif kind == "large":
        file.write_bytes(b"#" * (1 << 20) + b"\n")
    elif kind == "deep":
        file.write_text("{(" * 5000)
    else:
        include = tmp_path / "etc/syslog-ng/conf.d"
        include.symlink_to(include)
        file.write_text('@include "conf.d/*.conf"\n')
        assert not raw_line_feeds([MAIL], tmp_path)
        return
    (finding,) = raw_line_feeds([MAIL], tmp_path)
    assert "cannot tell whether syslog-ng keeps line feeds in user names out of /var/log/mail.log" in finding.text
    assert not finding.followed

"""A logging daemon that writes line feeds of strangers: what the daemon says of it, and what it grants then."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from daemon.running import Site, append, lines_with, login, noise, timestamp
from mta import unavailable

_UNSAFE = 'source s {{ system(); }};\ndestination d {{ file("{log}"); }};\nlog {{ source(s); destination(d); }};\n'
_SAFE = _UNSAFE.replace('"); }};', '" flags(no-multi-line)); }};')
_FORGED = "192.0.2.66"
#: Programs whose names are raw -> a refused login, {} being the name.
REFUSED = {
    "nginx": 'nginx: 2026/11/30 08:00:00 [info] 7#7: *9 client login failed: "no" while in http auth state, '
    'client: 203.0.113.9, server: 0.0.0.0:143, login: "{}"',
    "up-imapproxy": "in.imapproxyd[7]: LOGIN: '{}' (203.0.113.9:4000) failed: non-OK server response to LOGIN command",
    "perdition": "perdition.imap4[7]: Auth: 203.0.113.9:4000->192.0.2.10:143 client-secure=plaintext "
    'authorisation_id=NONE authentication_id="{}" server="127.0.0.2:143" protocol=IMAP4 server-secure=plaintext '
    'status="failed: Re-Authentication Failure"',
    "mailutils": "imap4d[7]: user `{}' nonexistent",
}


def _record(server: str) -> str:
    """What syslog-ng writes when a stranger closes a forged line with a header of his own: three whole lines."""
    name = f"x\n{login(_FORGED)}\n{timestamp()} hub su: "
    return f"{timestamp()} hub " + REFUSED[server].format(name)


def _with_syslog_ng(site: Site, text: str) -> Sequence[str]:
    """What starts a command where syslog-ng is installed and has this configuration."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("a mount namespace needs root and unshare")
    for name, content in (("etc/syslog-ng/syslog-ng.conf", text.format(log=site.log)), ("sbin/syslog-ng", "")):
        (site.place / name).parent.mkdir(parents=True, exist_ok=True)
        (site.place / name).write_text(content)
    script = (
        f"mount -t overlay overlay -o lowerdir={site.place}/etc:/etc /etc && "
        f'mount -t overlay overlay -o lowerdir={site.place}/sbin:/usr/sbin /usr/sbin && exec "$@"'
    )
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh"]


@pytest.mark.parametrize("backend", ["rust", "python"])
@pytest.mark.parametrize("server", REFUSED)
def test_nothing_counts_after_a_raw_name(site: Site, server: str, backend: str) -> None:
    site.cover()
    site.append(login("203.0.113.1"))
    daemon = site.start(f"--core={backend}", prefix=_with_syslog_ng(site, _UNSAFE))
    (warned,) = lines_with(site.said(), "so a stranger can forge logins in", "set flags")
    assert str(site.log) in warned
    site.append(login("203.0.113.2"))
    site.wait_rows("203.0.113.1", "203.0.113.2")
    site.append(_record(server))
    site.append(login("203.0.113.3"))
    site.wait_said("no further login in this log counts")
    for _ in range(2):  # between two of them the daemon reads what there is
        daemon.reload()
    assert site.rows() == ["203.0.113.1", "203.0.113.2"]
    assert daemon.stop() == 0
    # The three that follow: the forged login, what closed it, an honest login.
    assert lines_with(site.said(), r"counted .*\blog_distrusted=3\b")

    # The next start does not believe what the replay reads either.
    site.start(f"--core={backend}", prefix=_with_syslog_ng(site, _UNSAFE))
    site.wait_said("no further login in this log counts", 2)
    assert _FORGED not in site.rows()


@pytest.mark.parametrize("text", [_SAFE, None], ids=["safe", "another logger"])
def test_a_safe_logger_costs_nothing(site: Site, text: str | None) -> None:
    site.cover()
    site.start(prefix=() if text is None else _with_syslog_ng(site, text))
    site.append(f"{timestamp()} hub " + REFUSED["nginx"].format("x y"), login("203.0.113.3"))
    site.wait_rows("203.0.113.3")
    assert "forge" not in site.said()


def test_without_such_a_server_only_the_warning(site: Site) -> None:
    site.cover()
    site.start(prefix=_with_syslog_ng(site, _UNSAFE))
    # Its tag in another program's text is nobody's line.
    site.append(noise(text="dovecot: imap-login: Disconnected: user=<x nginx: in.imapproxyd[7]: >"))
    site.append(login("203.0.113.3"))
    site.wait_rows("203.0.113.3")
    assert len(lines_with(site.said(), "forge")) == 1


def test_formats_that_are_not_read_make_lines_of_others(site: Site) -> None:
    """Without the catalogue nginx is nobody's tag, and its line forges those of the site's own format."""
    site.cover()
    own = 'name = "mypop"\nprogram = ["mypop"]\nlogin = ["in from {ip}"]\n'
    site.configure(f"catalogue = false\n[[format]]\n{own}")
    daemon = site.start(prefix=_with_syslog_ng(site, _UNSAFE))
    site.append(noise(text="mypop: in from 203.0.113.3"))
    site.wait_rows("203.0.113.3")
    name = f"x\n{noise(text=f'mypop: in from {_FORGED}')}\n{noise(text='su: ')}"
    site.append(noise(text=REFUSED["nginx"].format(name)))
    site.wait_said("no further login in this log counts")
    for _ in range(2):
        daemon.reload()
    assert site.rows() == ["203.0.113.3"]


def test_a_site_may_accept_it(site: Site) -> None:
    site.cover()
    site.configure('raw_line_feeds = "accept"\n')
    site.start(prefix=_with_syslog_ng(site, _UNSAFE))
    site.append(_record("nginx"), login("203.0.113.3"))
    site.wait_rows(_FORGED, "203.0.113.3")
    assert len(lines_with(site.said(), "forge")) == 1


def test_lines_without_a_header_are_said_once_and_counted(site: Site) -> None:
    site.cover()
    daemon = site.start()
    before = site.log.stat().st_size
    append(site.log, f"{noise()}", 'rest of a name"', login("203.0.113.4"), "\x00", "another", "")
    site.wait_rows("203.0.113.4")
    site.wait_said("has no header")
    site.append("more", login("203.0.113.5"))
    site.wait_rows("203.0.113.4", "203.0.113.5")
    assert daemon.stop() == 0
    (warned,) = lines_with(site.said(), "has no header")
    assert f"the line at byte {before + len(noise()) + 1} has no header" in warned
    assert lines_with(site.said(), r"counted .*\blog_headerless=5\b")


def test_a_log_with_headers_has_none_of_them(site: Site, tmp_path: Path) -> None:
    """Every envelope of the catalogue's samples."""
    del tmp_path
    site.cover()
    daemon = site.start()
    year = time.strftime("%Y")
    site.append(
        time.strftime("%b %e %H:%M:%S") + " hub sshd[7]: x",
        "<22>" + time.strftime("%b %e %H:%M:%S") + " sshd[7]: x",
        f"{year}-01-01 00:00:00 hub sshd: x",
        f"<22>1 {year}-01-01T00:00:00Z hub sshd - - - x",
        "<22>1 - hub sshd - - - x",
        login("203.0.113.6"),
    )
    site.wait_rows("203.0.113.6")
    assert daemon.stop() == 0
    assert "headerless" not in site.said()

"""GNU Mailutils' pop3d and imap4d under inetd and tcpd, which writes the address; in clear and after STARTTLS."""

from __future__ import annotations

from servers.clients import Over, deeds
from servers.held import hold
from servers.stage import PEM, Stage, stage


def start(here: Stage) -> None:
    """Start inetd with both services, for IPv4 and IPv6."""
    services = []
    # The key in a file of its own: the server refuses one that all may read.
    conf, pair = "", f"ssl-certificate-file /run/cert; ssl-key-file {PEM};"
    for name, service in (("pop3d", "pop3"), ("imap4d", "imap2")):
        here.write(f"/etc/pam.d/gnu-{name}", "@include common-auth\n@include common-account\n")
        if "starttls" in overs(here):
            conf += f"program {name} {{ tls-mode ondemand; tls {{ {pair} }}; }};\n"
        words = f"nowait.1000 root /usr/sbin/tcpd /usr/sbin/{name} --inetd\n"
        services += [f"{service} stream {family} {words}" for family in ("tcp", "tcp6")]
    if conf:
        here.write("/etc/mailutils.conf", conf)
    here.write("/etc/inetd.conf", "".join(services))
    here.start("inetd", "-i")
    here.wait_for_ports(110, 143)


def overs(here: Stage) -> list[Over]:
    """How clients may come. 3.19 (Debian 13) crashes at each connection where TLS is configured."""
    return ["clear"] if "3.19" in here.sh("imap4d --version") else ["clear", "starttls"]


def test_mailutils() -> None:
    with stage("mailutils") as here:
        start(here)
        hold(here, deeds(overs=overs(here)), ["mailutils"])

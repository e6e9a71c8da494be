"""Real Courier, unpacked beside (scripts/install-test-servers.sh), at its own paths inside a namespace.

Its scripts know /etc/courier and /usr/lib/courier by heart, so there its files lie over the system's /usr and /etc
(overlay), with an account and a spool of its own. `esmtpd start` serves SMTP; courierd does not run, so no message is
ever delivered: sessions go no further than RCPT.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from mta import unavailable, wait_for
from mta.netns import Namespace, Reply, Session

UNPACKED = Path("/opt/pbs-fast-tests/courier")
ELSEWHERE = "friend@elsewhere.test"
#: A recipient that this Courier takes mail for, from anybody, to hand it on: local ones need its authentication daemon.
LOCAL = "bob@here.test"
PORT = 2527
ACCESS = "/etc/courier/smtpaccess"

_LAY_OVER = f"""
set -e
mount -t overlay overlay -o lowerdir={UNPACKED}/usr:/usr /usr
mount -t tmpfs tmpfs /run
mkdir -p /run/courier /run/etc/over /run/etc/work
mount -t overlay overlay -o lowerdir={UNPACKED}/etc:/etc,upperdir=/run/etc/over,workdir=/run/etc/work /etc
ldconfig
grep -q '^courier:' /etc/passwd || echo 'courier:x:4242:4242::/var/lib/courier:/bin/false' >>/etc/passwd
grep -q '^courier:' /etc/group || echo 'courier:x:4242:' >>/etc/group
mount -t tmpfs tmpfs /var/lib
cd /var/lib
mkdir -p courier/tmp courier/msgs/0 courier/msgq courier/track courier/filters courier/allfilters courier/faxtmp
chown -R courier:courier /var/lib/courier /run/courier
cd /etc/courier
echo mx.here.test >me
echo localhost >locals
echo here.test >esmtpacceptmailfor.dir/default
sed -i 's/^PORT=.*/PORT={PORT}/; s/^BOFHCHECKDNS=.*/BOFHCHECKDNS=0/; s/^TARPIT=.*/TARPIT=0/; s/^MAXPER/#&/' esmtpd
printf 'MAXPERC=40\\nMAXPERIP=40\\n' >>esmtpd
makealiases
makeacceptmailfor
"""


def require_courier() -> None:
    """Skip (or fail under CI) where Courier is missing."""
    if not (UNPACKED / "usr/sbin/couriertcpd").exists():
        unavailable("Courier is not there")


class Courier:
    """One Courier in a namespace, which it keeps to the namespace's end."""

    def __init__(self, namespace: Namespace) -> None:
        require_courier()
        self.namespace = namespace
        done = namespace.run("sh", "-c", _LAY_OVER)
        if "mount" in done.stderr:
            unavailable(f"no file system can be laid over /usr and /etc here ({done.stderr.strip()})")
        assert done.returncode == 0, done.stderr

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a piece of shell in there."""
        return self.namespace.run("sh", "-c", script)

    def path(self, path: str) -> Path:
        """A path in there, for readers out here."""
        return Path(f"/proc/{self.namespace.pid}/root{path}")

    def start(self) -> None:
        """`esmtpd start`; returns when it greets."""
        done = self.shell("esmtpd start")
        assert done.returncode == 0, done.stderr
        wait_for("Courier's greeting", lambda: self.namespace.answers(PORT))

    def stop(self) -> None:
        """`esmtpd stop`, whether or not it runs."""
        self.shell("esmtpd stop")

    @property
    def listener(self) -> int:
        """The process that listens."""
        return int(self.path("/run/courier/esmtpd.pid").read_text())

    def session(self, client: str) -> Session:
        """A session from this address; MAIL was sent."""
        return self.namespace.session(client, PORT)

    def rcpt(self, client: str, recipient: str = ELSEWHERE) -> Reply:
        """The answer to one RCPT in a session of its own."""
        with self.session(client) as own:
            return own.rcpt(recipient)

    def relays(self, client: str) -> bool:
        """Whether this client may relay; anything but yes and the permanent no is an error."""
        reply = self.rcpt(client)
        assert reply.code == 250 or denied(reply), reply
        return reply.code == 250


def denied(reply: Reply) -> bool:
    """The permanent refusal that a client without RELAYCLIENT gets."""
    return reply.code == 513 and "Relaying denied" in reply.text

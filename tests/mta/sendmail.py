"""Real Sendmail, unpacked beside (scripts/install-test-servers.sh): `-bt` tries rule sets, `-bD` serves in a namespace.

Its configuration is made by m4 from the lines of a guide and Sendmail's own files. All lies in one directory below
/run: Sendmail takes no map below a directory that others may write in, such as /tmp. Nothing is delivered: no session
goes further than RCPT, and DNS is never asked for a recipient.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv6Address
from pathlib import Path

from mta import require, unavailable, wait_for
from mta.netns import SERVER, SERVER6, Namespace, Reply, Session

#: The domain that this Sendmail takes mail for, from anybody.
LOCAL = "here.test"
ELSEWHERE = "friend@elsewhere.test"
PLACES = ("/opt/pbs-fast-tests/sendmail", "/")
PORT = 2525


def require_sendmail() -> tuple[Path, Path]:
    """Sendmail's program and the directory of its m4 files; the test is skipped (or fails under CI) without."""
    require("m4", "Sendmail's configuration")
    programs = (Path(each, "usr/libexec/sendmail/sendmail") for each in PLACES)
    program = next((each for each in programs if each.exists()), None)
    if program is None:
        unavailable("Sendmail is not there")
    return program, program.parents[2] / "share/sendmail/cf"


@contextmanager
def place() -> Iterator[Path]:
    """A directory that Sendmail finds safe."""
    made = Path(tempfile.mkdtemp(prefix="pbs-sendmail-", dir="/run"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        shutil.rmtree(made)


class Sendmail:
    """One configuration: the lines of a guide at the end of a `sendmail.mc`."""

    def __init__(
        self,
        namespace: Namespace,
        directory: Path,
        lines: Sequence[str],
        *,
        delay: bool = True,
        macros: Sequence[str] = (),
    ) -> None:
        """`lines` stand at the end of the `sendmail.mc`, `macros` before the mailers.

        `delay`: with FEATURE(`delay_checks') as Debian's own configuration has it.
        """
        self.program, cf = require_sendmail()
        self.namespace = namespace
        self.config = directory / "sendmail.cf"
        self.pid_file = directory / "sendmail.pid"
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "queue").mkdir()
        source = [
            "divert(0)dnl",
            "VERSIONID(`test')",
            "OSTYPE(`linux')dnl",
            "define(`confDOMAIN_NAME', `mx.here.test')dnl",
            "define(`confTRUSTED_USER', `root')dnl",
            f"define(`QUEUE_DIR', `{directory}/queue')dnl",
            f"define(`confPID_FILE', `{self.pid_file}')dnl",
            f"define(`STATUS_FILE', `{directory}/statistics')dnl",
            "define(`ALIAS_FILE', `')dnl",
            "define(`HELP_FILE', `')dnl",
            "define(`confTO_IDENT', `0')dnl",
            # The clients' addresses are the namespace's own, so Sendmail would take them for local hosts.
            "define(`confDONT_PROBE_INTERFACES', `True')dnl",
            "define(`confBAD_RCPT_THROTTLE', `0')dnl",
            # A machine that is busy with other tests is no reason to turn clients away.
            *(f"define(`conf{limit}_LA', `10000')dnl" for limit in ("QUEUE", "REFUSE", "DELAY")),
            "FEATURE(`nocanonify')dnl",
            "FEATURE(`accept_unresolvable_domains')dnl",
            "FEATURE(`no_default_msa')dnl",
            f"FEATURE(`access_db', `hash -T<TMPF> {directory}/access')dnl",
            "FEATURE(`blocklist_recipients')dnl",
            *(["FEATURE(`delay_checks', `friend', `n')dnl"] if delay else []),
            f"DAEMON_OPTIONS(`Family=inet, Name=MTA, Port={PORT}, Addr={SERVER}')dnl",
            f"DAEMON_OPTIONS(`Family=inet6, Name=MTA6, Port={PORT}, Addr={SERVER6}')dnl",
            f"LOCAL_DOMAIN(`{LOCAL}')dnl",
            *macros,
            "MAILER(`local')dnl",
            "MAILER(`smtp')dnl",
            *lines,
        ]
        mc = directory / "sendmail.mc"
        mc.write_text("\n".join(source) + "\n")
        made = subprocess.run(
            ["m4", f"-D_CF_DIR_={cf}/", cf / "m4" / "cf.m4", mc], capture_output=True, text=True, check=True
        )
        assert made.stderr == "", made.stderr
        self.config.write_text(made.stdout)
        makemap = namespace.run(
            self.program.with_name("makemap"), "-C", self.config, "hash", directory / "access",
            text="Connect:192.0.2.77\tRELAY\nTo:unwanted@here.test\tREJECT\n",
        )  # fmt: skip
        assert makemap.returncode == 0, makemap.stderr

    def check_rcpt(self, client: str, recipient: str = ELSEWHERE) -> str:
        """What the rule set check_rcpt makes of a recipient for a client at this address: its result in `-bt`."""
        address = client
        if ":" in client:  # as Debian's build spells it (IPV6_FULL)
            address = "IPv6:" + ":".join(f"{int(group, 16):x}" for group in IPv6Address(client).exploded.split(":"))
        done = self.namespace.run(
            self.program, f"-C{self.config}", "-bt", text=f".D{{client_addr}}{address}\ncheck_rcpt {recipient}\n"
        )
        found = re.findall(r"^check_rcpt +returns: (.*?) *$", done.stdout, re.MULTILINE)
        assert len(found) == 1, done.stdout + done.stderr
        return str(found[0])

    def start(self) -> None:
        """Serve; returns when it greets."""
        self._process = subprocess.Popen(
            self.namespace.command([self.program, f"-C{self.config}", "-bD"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for("Sendmail's greeting", lambda: self.namespace.answers(PORT))

    def session(self, client: str) -> Session:
        """A session from this address; MAIL was sent."""
        return self.namespace.session(client, PORT)

    def rcpt(self, client: str, recipient: str = ELSEWHERE) -> Reply:
        """The answer to one RCPT in a session of its own."""
        with self.session(client) as own:
            return own.rcpt(recipient)

    def __enter__(self) -> Sendmail:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

"""Formats made for these tests alone: small, and with every feature that docs/MATCHING.md names."""

from __future__ import annotations

from pbs_fast.formats import Format

IP = r"(?P<ip>[0-9A-Fa-f:.]+)"
LIP = r"(?P<lip>[0-9A-Fa-f:.]+)"

#: Three formats share the tag `imapd`; `alpha` cuts; `gamma` cuts and repeats a prefix, has sessions, TLS, an own log;
#: `delta` has sessions over several lines; the latter two have endings.
FORMATS = (
    Format(
        name="alpha",
        title="",
        versions="",
        program=("imapd", "alphad"),
        tls_program=("imapd-ssl", "*/alphas"),
        success=("LOGIN, user=",),
        login=(rf"LOGIN, user=(?P<user>[^,]*), ip=\[{IP}\](?:, port=\[[0-9]+\])?",),
        logout=(rf"LOGOUT, user=(?P<user>[^,]*), ip=\[{IP}\].*",),
        cut=60,
    ),
    Format(
        name="beta",
        title="",
        versions="",
        program=("imapd", "betad", "*/beta"),
        tls_program=(),
        success=("Login user=", "LOGIN, user="),
        login=(rf"Login user=(?P<user>[^ ]*) host=\[{IP}\]",),
        logout=(),
    ),
    Format(
        name="delta",
        title="",
        versions="",
        program=("deltad", "imapd"),
        tls_program=("*/deltas",),
        success=("hello ",),
        login=(),
        logout=(rf"out(?: {IP})?(?: <(?P<session>[^>]*)>)?",),
        session_address=(rf"from {IP}(?:, to {LIP})?(?P<tls>, TLS)?",),
        session_success=(
            r"hello (?P<user>[^ <>]*)(?: <(?P<session>[^>]*)>)?",
            r"hello, (?P<user>[^ <>]*)(?P<tls>, TLS)?",
        ),
        session_failure=(r"no (?P<user>[^ ]*)(?P<ip>[^ ]*)",),
        session_end=(r"gone.*",),
        restart=(r"up(?: .*)?",),
        killed=(r"died(?: (?P<pid>[0-9]*))?(?: <(?P<session>[^<>]*)>)?",),
        aborted=(r"error of (?P<user>[^ ]*)",),
    ),
    Format(
        name="gamma",
        title="",
        versions="",
        program=("gamma",),
        tls_program=("9gammas",),
        success=("Login: ",),
        login=(
            rf"in: Login: user=<(?P<user>[^<>]*)>, rip={IP}, lip={LIP}"
            r"(?P<tls>, TLS)?(?:, session=<(?P<session>[^>]*)>)?(?:, pid=(?P<pid>[0-9]*))?",
            rf"in: Login: rip={IP}",
        ),
        logout=(
            r"in\((?P<user>[^()]*)\)<(?P<session>[^<>]*)>: Logged out.*",
            rf"in: bye(?: {IP})?(?: <(?P<session>[^>]*)>)?",
        ),
        restart=(r"in: up",),
        killed=(r"in: died (?P<pid>[0-9]+)",),
        cut=100,
        cut_prefix=("in: ", "to: "),
        cut_whole=(110, 120, 150, 160),
        own_prefix=("gamma: ", "gamma["),
        own_probe="in(?:: |\\()",
        own_in_syslog=True,
    ),
)


def patterns_of(fmt: Format) -> tuple[str, ...]:
    """All patterns that a message is held to."""
    steps = (*fmt.session_address, *fmt.session_success, *fmt.session_failure, *fmt.session_end)
    return (*fmt.login, *fmt.logout, *steps, *fmt.restart, *fmt.killed, *fmt.aborted)


#: Local time is UTC+1, from 2026-03-29 01:00 UTC +2, from 2026-10-25 01:00 UTC +1 again.
SPRING, AUTUMN = 1774746000, 1792890000
ZONE = ((-(1 << 40), 3600), (SPRING, 7200), (AUTUMN, 3600))
UTC = ((-(1 << 40), 0),)
#: 2026-03-04 07:00:00 UTC.
REFERENCE = 1772607600

#: A timestamp without a year, and its second in a zone one hour east of UTC.
TIMESTAMP = "Mar  4 07:12:09"
AT = REFERENCE - 3600 + 12 * 60 + 9
#: A login of the format alpha.
LOGIN = "LOGIN, user=lena, ip=[192.0.2.7]"

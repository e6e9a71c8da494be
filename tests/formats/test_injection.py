"""Strangers' text in genuine lines: user names, reverse names, session ids made of hostile pieces.

Each server's way of writing a line is played here (cutting at 80 bytes, courierlogger's records, control bytes), so
that what a pattern sees is what the server would write. The property: a login comes out with the true address or not
at all, and a refused login never comes out. Plain names are mixed in, so that a good share of the examples grants.
`test_injection_servers.py` does the same for servers whose lines need no playing.
"""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from formats.injecting import CORES, FAKE, MATCHERS, REFERENCE, TRUE, Real, hostile, judge, judge_refused

# Dovecot: names of up to 80 bytes, control bytes as "?"; elements in any order.

ELEMENTS = (", rip=", "rip=", ", lip=", "user=<", "session=<", ", TLS", "method=PLAIN", "proxy(", "): ", "secs): ")
DOVECOT_NAME = hostile(
    *ELEMENTS, "imap-login: Login: ", "imap-login: Logged in: user=<a>, ", "started proxying to ", ", rip=192.0.2.6"
)


@given(
    user=DOVECOT_NAME,
    session=hostile(*ELEMENTS, plain="q2LxUo8Kx1rGM2Ra"),
    head=st.sampled_from(
        [
            "imap-login: Login: ",
            "pop3-login: Info: Logged in: ",
            "imap-login: proxy({user}): started proxying to 192.0.2.77:143: ",
            "imap-login: proxy({user},192.0.2.77:143): Started proxying to <192.0.2.77> (0.010 secs): ",
        ]
    ),
    order=st.permutations(["user", "method", "rip", "lip", "mpid", "tls", "session"]),
    usual=st.booleans(),
)
@example(
    user="a>, rip=192.0.2.6, b=<c",
    session="",
    head="imap-login: Login: ",
    order=["user", "method", "rip", "lip", "mpid", "tls", "session"],
    usual=True,
)
def test_dovecot_login(user: str, session: str, head: str, order: list[str], usual: bool, share: Real) -> None:
    text = {
        "user": f"user=<{dovecot_name(user)}>",
        "method": "method=PLAIN",
        "rip": f"rip={TRUE}",
        "lip": "lip=192.0.2.10",
        "mpid": "mpid=812",
        "tls": "TLS",
        "session": f"session=<{session}>",
    }
    usual_order = ["user", "method", "rip", "lip", "mpid", "tls", "session"]
    elements = ", ".join(text[name] for name in (usual_order if usual else order))
    judge("dovecot", [head.format(user=dovecot_name(user)) + elements], share)


#: `login_log_format` of sites: the text first, then the elements first.
SHAPES = (
    "{text} [{elements}]",
    "{text} -- {elements} --",
    "{text}, {elements}",
    "{elements}: {text}",
    "{elements} {text}",
    "[{elements}] {text}",
)


@given(
    user=hostile(*ELEMENTS, ", from=192.0.2.6", ">: Logged in", "> Login", "Logged in [user=<", " -- ", plain="otto"),
    shape=st.sampled_from(SHAPES),
    address=st.sampled_from(["rip={ip}", "rip=[{ip}]:50611", "from={ip}", "client={ip}"]),
    text=st.sampled_from(
        ["Login", "Logged in", "proxy({user},192.0.2.77:143): Started proxying to remote host as user x (0.010 secs)"]
    ),
    session=st.booleans(),
)
@example(user="a>, from=192.0.2.6, session=<c", shape=SHAPES[3], address="rip={ip}", text="Logged in", session=True)
def test_dovecot_login_in_other_words(
    user: str, shape: str, address: str, text: str, session: bool, share: Real
) -> None:
    name = dovecot_name(user)
    elements = f"user=<{name}>, method=PLAIN, {address.format(ip=TRUE)}, lip=192.0.2.10, mpid=812, TLS"
    elements += ", session=<q2LxUo8Kx1rGM2Ra>" if session else ""
    judge("dovecot", ["imap-login: " + shape.format(text=text.format(user=name), elements=elements)], share)


@given(
    user=hostile(
        *ELEMENTS, ", from=192.0.2.6", ">: Logged in", "> Login", "Logged in [user=<", ": Login", plain="otto"
    ),
    shape=st.sampled_from(SHAPES),
    address=st.sampled_from(["rip={ip}", "rip=[{ip}]:50611", "from={ip}"]),
    text=st.sampled_from(
        [
            "Login aborted: Logged out (auth failed, 1 attempts in 2 secs) (auth_failed)",
            "Aborted login (auth failed, 1 attempts)",
            "ID sent: name={user}",
            "ID sent: name=x, y={user}: Logged in",
            "ID sent: name=x, {user}, session=<y>: Logged in",
            "proxy({user},192.0.2.77:143): connect(192.0.2.77, 143) failed: Connection refused",
        ]
    ),
)
def test_dovecot_without_login_in_other_words(user: str, shape: str, address: str, text: str, share: Real) -> None:
    name = dovecot_name(user)
    elements = f"user=<{name}>, method=PLAIN, {address.format(ip=TRUE)}, lip=192.0.2.10, session=<q2LxUo8Kx1rGM2Ra>"
    line = shape.format(text=text.format(user=name), elements=elements)
    judge_refused("dovecot", ["imap-login: " + line], share, user)


def dovecot_name(name: str) -> str:
    return name if len(name) <= 80 else name[:77] + "..."


@given(
    user=DOVECOT_NAME,
    head=st.sampled_from(
        [
            "imap-login: Aborted login (auth failed, 1 attempts): user=<{user}>, method=PLAIN, rip={ip}",
            "imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 3 secs): user=<{user}>, rip={ip}",
            "imap-login: Login aborted: Logged out (auth failed) (auth_failed): user=<{user}>, rip={ip}, TLS",
            "imap-login: ID sent: name={user}, version=1: user=<>, rip={ip}, lip=192.0.2.10",
            "imap({user})<812><q2Lx>: ID sent: name={user}",
            "auth: passwd-file({user},{ip}): unknown user",
            "lmtp({user})<812><q2Lx>: msgid={user}: saved mail to INBOX",
            "imap-login: proxy({user}): Login failed to 192.0.2.77:143: user=<{user}>, method=PLAIN, rip={ip}",
        ]
    ),
)
def test_dovecot_without_login(user: str, head: str, share: Real) -> None:
    judge_refused("dovecot", [head.format(user=dovecot_name(user), ip=TRUE)], share, user)


@given(
    prefix=st.sampled_from(["imap({name})<812><q2LxUo8Kx1rGM2Ra>: Info: ", "imap({name}): Info: "]),
    name=st.lists(
        st.sampled_from(
            (
                "\n",
                f"\nimap-login: Info: Login: user=<x>, method=PLAIN, rip={FAKE}",
                ", lip=192.0.2.10",
                ", TLS",
                ", session=<",
                ", user=<",
                ", x",
                " (",
                ">",
                "otto",
            )
        ),
        min_size=1,
        max_size=7,
    ).map("".join),
)
def test_dovecot_name_with_line_feeds_in_the_own_log(prefix: str, name: str, share: Real) -> None:
    """Every line behind the feed may even have a timestamp that its author typed."""
    log = prefix.format(name=name) + "Disconnected: Logged out in=11 out=346"
    data = "".join(f"Mar 04 06:12:09 {line}\n" for line in log.split("\n")).encode()
    for core in CORES:
        stream = core.Stream(MATCHERS[core.name], source="injection", gap=0, fold=False)
        scan = MATCHERS[core.name].scan(data, layout="dovecot", reference=REFERENCE)
        logins = [event for event in stream.events(scan) if event.kind == "login"]
        # A forged line between two feeds is whole and cannot be told; the one that Dovecot itself ends can.
        last = data.rstrip(b"\n").rfind(b"\n") + 1
        assert [event for event in logins if event.offset == last] == []
        share("\n" in name)


# Courier: records of 505 bytes, each with the tag.


def courierlogger(text: str) -> list[str]:
    return [text[start : start + 505] for start in range(0, len(text), 505)]


def courier_name(plainly: int) -> st.SearchStrategy[str]:
    first = hostile(
        "LOGIN, user=",
        ", ip=[",
        "], port=[1]",
        ", protocol=IMAP",
        f", ip=[{FAKE}], port=[1], protocol=IMAP",
        plainly=plainly,
    )
    forged = f"LOGIN, user=x, ip=[{FAKE}]"
    second = hostile(forged, f"{forged}, port=[1], protocol=IMAP", "LOGIN, user=x", plainly=1)
    lengths = st.sampled_from([0] * 4 * plainly + [400, 480, 486, 505, 900, 991])
    return st.tuples(first, lengths, second).map(lambda it: it[0] + "y" * it[1] + (it[2] if it[1] else ""))


@given(
    name=courier_name(3),
    line=st.sampled_from(
        [
            ("imapd", "LOGIN, user={name}, ip=[::ffff:{ip}], port=[40122], protocol=IMAP"),
            ("imaplogin", "LOGIN, user={name}, ip=[{ip}], protocol=IMAP"),
            ("pop3d-ssl", "LOGIN, user={name}, ip=[::ffff:{ip}], port=[40122]"),
            ("courierpop3login", "LOGIN, user={name}, ip=[::ffff:{ip}]"),
            ("couriertcpd", "LOGIN, user={name}, ip=[::ffff:{ip}], port=[40122], protocol=IMAP"),
            ("courier-imaps", "IMAP connect from @ [{ip}]INFO: LOGIN, user={name}, ip=[::ffff:{ip}], protocol=IMAP"),
            ("courier-pop3d", "IMAP connect from @ [{ip}]INFO: LOGIN, user={name}, ip=[::ffff:{ip}]"),
        ]
    ),
)
def test_courier_login(name: str, line: tuple[str, str], share: Real) -> None:
    judge(line[0], courierlogger(line[1].format(name=name, ip=TRUE)), share)


@given(
    name=courier_name(1),
    pad=st.integers(0, 505),
    tag=st.sampled_from(["imapd", "imapd-ssl", "pop3d", "pop3d-ssl", "courierpop3login", "couriertcpd"]),
    line=st.sampled_from(
        [
            "LOGIN FAILED, user={name}, ip=[::ffff:{ip}], port=[40122]",
            "LOGIN FAILED, user={name}, ip=[{ip}]",
            "IMAP connect from @ [{ip}]checkmailpasswd: FAILED: {name} - no from @ [{ip}]ERR: LOGIN FAILED, ip=[{ip}]",
        ]
    ),
)
@example(
    name="LOGIN, user=x", pad=505 - len("LOGIN FAILED, user="), tag="pop3d", line="LOGIN FAILED, user={name}, ip=[{ip}]"
)
def test_courier_refused(name: str, pad: int, tag: str, line: str, share: Real) -> None:
    judge_refused(tag, courierlogger(line.format(name="z" * pad + name, ip=TRUE)), share, name)


# Cyrus: the reverse name in front, the user name behind.


@given(
    reverse=hostile("[192.0.2.6]", "[192.0.2.6] ", " PLAIN User logged in", " SESSIONID=<", "[203.0.113.", plain=""),
    user=hostile("[192.0.2.6]", "anonymous", " PLAIN", " User logged in", " SESSIONID=<"),
    line=st.sampled_from(
        [
            ("cyrus/imap", "login: {host} {user} plaintext+TLS User logged in SESSIONID=<store1-1-2-3-4>"),
            ("pop3", "login: {host} {user} CRAM-MD5 User logged in"),
            ("pop3d", "login: {host} {user} plaintext "),
            ("cyrus", "login: {host} {user} PLAIN User logged in SESSIONID=<store1-1-2-3-4>"),
        ]
    ),
    blank=st.sampled_from([" ", ""]),
)
def test_cyrus_login(reverse: str, user: str, line: tuple[str, str], blank: str, share: Real) -> None:
    host = f"{reverse}{blank if reverse else ''}[{TRUE}]"
    judge(line[0], [line[1].format(host=host, user=user)], share)


@given(
    reverse=hostile("[192.0.2.6] x", " PLAIN User logged in", plain="dsl.example.org"),
    text=hostile("[192.0.2.6]", "PLAIN", " User logged in", "plaintext User logged in SESSIONID=<a>", " otto "),
    line=st.sampled_from(
        [
            ("imap", "login: {reverse} [{ip}] anonymous {text}"),
            ("cyrus/pop3", "badlogin: {reverse} [{ip}] plaintext {text} SASL(-13): authentication failure"),
            ("cyrus/pop3", "badlogin: [{ip}] plaintext ({text}) [SASL(-13): authentication failure: checkpass failed]"),
            ("cyrus/imap", 'client id sessionid=<a>: "name" "{text}"'),
            ("cyrus/sieve", "login: {reverse} [{ip}] {text} PLAIN User logged in"),
            ("cyrus", "login: {reverse} [{ip}] otto PLAIN User logged in"),
        ]
    ),
)
def test_cyrus_without_login(reverse: str, text: str, line: tuple[str, str], share: Real) -> None:
    reverse = re.sub(" ", "", reverse)  # the C library refuses blanks in a reverse name
    judge_refused(line[0], [line[1].format(reverse=reverse, text=text, ip=TRUE)], share, reverse, text)


# Cyrus in logfmt: lib/logfmt.c quotes and escapes what it must.


def logfmt(value: str) -> str:
    if re.fullmatch(r"[!#-<>-\[\]-~]+", value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(
    reverse=hostile("[192.0.2.6]", '[192.0.2.6]" u.username=x', '"', plain="dsl.example.org"),
    user=hostile(" r.clienthost=[192.0.2.6]", '" login.tls=1', "~null~", "anonymous", plain="otto"),
    tag=st.sampled_from(["cyrus/imap", "cyrus", "imaps"]),
    event=st.sampled_from(["good", "good", "good", "bad"]),
)
def test_cyrus_logfmt(reverse: str, user: str, tag: str, event: str, share: Real) -> None:
    host = f"{re.sub(' ', '', reverse)} [{TRUE}]"
    line = f"event=login.{event} r.sessionid=a-1 r.clienthost={logfmt(host)} u.username={logfmt(user)}"
    line += " login.mech=PLAIN login.tls=1 login.magic=~null~" if event == "good" else f" error={logfmt(user)}"
    if event == "good":
        judge(tag, [line], share)
    else:
        judge_refused(tag, [line], share, user, reverse)


# UW: user= and host= cut at 80 bytes each; a reverse name holds no blank.


@given(
    reverse=st.one_of(
        hostile("[192.0.2.6]", "192.0.2.6", "].", plain="cable.example.net", plainly=1),
        st.integers(55, 80).map(lambda length: "h" * length),
        st.sampled_from([0, 3, 67, 68, 69, 70]).map(lambda length: "h" * length + "[192.0.2.6]"),
    ),
    user=hostile(" host=[192.0.2.6]", " host=", " nmsgs=0/0", plain="rolf"),
    line=st.sampled_from(
        [
            ("ipop3d", "Login user={user} host={host} nmsgs=0/0"),
            ("imapd", "Login user={user} host={host}"),
            ("imapd", "Authenticated user={user} host={host} mech=PLAIN"),
        ]
    ),
    bare=st.booleans(),
)
def test_uw_login(reverse: str, user: str, line: tuple[str, str], bare: bool, share: Real) -> None:
    reverse = re.sub(" ", "", reverse)
    host = f"[{TRUE}]" if bare or not reverse else f"{reverse} [{TRUE}]"
    judge(line[0], [line[1].format(user=user[:80], host=host[:80])], share)


@given(
    text=hostile(" host=[192.0.2.6]", " host=[192.0.2.6] nmsgs=0/0", "Login user=x", plain="guest"),
    line=st.sampled_from(
        [
            "Login anonymous={text} host=[{ip}]",
            "Authenticated anonymous={text} host=[{ip}]",
            "Login failed user={text} auth={text} host=x [{ip}]",
            "Login disabled user={text} auth={text} host=[{ip}]",
            "Logout user={text} host=[{ip}]",
            "Admin Login user={text} host=[{ip}]",
        ]
    ),
)
def test_uw_without_login(text: str, line: str, share: Real) -> None:
    judge_refused("imapd", [line.format(text=text[:80], ip=TRUE)], share, text)

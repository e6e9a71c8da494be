"""The Python backend on arbitrary bytes: no exception, every line in one counter, cuts change nothing.

The counterpart of the native backend's cargo-fuzz target; that both say the same is tested elsewhere. Bytes are put
together from what the grammar is made of, so that most of them get somewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from backends.inline import FORMATS, REFERENCE
from backends.running import DEFAULT, line_starts, matcher, run
from backends.test_whole_lines import EARLY, SITE
from pbs_fast.formats.loader import load_catalogue
from support.examples import examples

Reporter = Callable[[object], None]

CATALOGUE = load_catalogue()
FORMATS_OF = {"inline": (EARLY, *FORMATS, SITE), "all": CATALOGUE}
_FRAGMENTS = (
    b"\n", b"\r\n", b" ", b": ", b"[", b"]", b"<", b">", b"Mar  4 07:00:00", b"Feb 30 24:00:60", b"<22>", b"<1>1 ",
    b"2026-03-04T07:00:00Z", b"0000-00-00 99:99:99,5-9999", b".123", b" mx ", b" - - - ", b" Message forwarded from ",
    b"mx: ", b"alphad", b"imapd[12]: ", b"deltad[12]: ", b"gamma: ", b"dovecot: ", b"cyrus/imap[1]: ", b"9gammas",
    b"message repeated 2 times: [ ", b"[ID 1 a.b] ", b"SIGNED IN", b"x" * 60, b"\0", b"\xff\xfe", b"a" * 16_300,
)  # fmt: skip
_HEADS = (b"Mar  4 07:00:00 mx ", b"2026-03-04T07:00:00.5+01:00 mx ", b"<22>Oct 25 2026 02:30:00 ")
_BODIES = (
    b"alphad: LOGIN, user=u, ip=[192.0.2.7]", b"imapd[12]: LOGOUT, user=u, ip=[::1], x", b"deltad[12]: from 192.0.2.7",
    b"deltad[12]: hello lena", b"deltad[12]: gone", b"deltad[12]: no x", b"deltad: out <s>",
    b"gamma: in: Login: user=<u>, rip=::1, lip=::1, session=<s>", b"gamma: in(u)<s>: Logged out",
    b"dovecot: imap-login: Login: user=<u>, rip=192.0.2.7, lip=::1", b"x: SIGNED IN as u [192.0.2.7]",
    b"imaps: login: [::1] u plaintext User logged in", b"popa3d[1]: Session from ::1", b"postfix/qmgr[1]: removed",
)  # fmt: skip
_OWN_BODIES = (
    b"in: Login: user=<u>, rip=::1, lip=::1", b"imap-login: Info: Login: user=<u>, rip=192.0.2.7, lip=::1",
    b"in: bye <s>", b"SIGNED IN [::1]",
)  # fmt: skip


def _log(random: Random, noise: bytes, layout: str) -> bytes:
    """Lines of the right shape and fragments, with noise put in."""
    parts = []
    for _ in range(random.randrange(2, 16)):
        if random.random() < 0.7:
            is_own = layout != "syslog"
            head = random.choice(_HEADS).removesuffix(b"mx " if is_own else b"")
            line = head + random.choice(_OWN_BODIES if is_own else _BODIES)
            at, piece = random.randrange(len(line)), random.choice((*[b""] * 6, noise, random.choice(_FRAGMENTS)))
            parts.append(line[:at] + piece + line[at:] + b"\n")
        else:
            parts += random.choices(_FRAGMENTS, k=random.randrange(9))
            parts.append(noise)
    return b"".join(parts)


@given(
    st.integers(0, 2**64 - 1).map(Random),
    st.binary(max_size=30),
    st.sampled_from((("inline", "syslog"), ("inline", "gamma"), ("all", "syslog"), ("all", "dovecot"))),
    st.booleans(),
    st.booleans(),
    st.data(),
)
@examples(300)
def test_any_bytes(
    share: Reporter, random: Random, noise: bytes, where: tuple[str, str], fold: bool, live: bool, draw: st.DataObject
) -> None:
    formats, layout = where
    data = _log(random, noise, layout)
    setting = replace(DEFAULT, formats=FORMATS_OF[formats], layout=layout, fold=fold, live=live)
    starts = line_starts(data)
    cuts = draw.draw(st.lists(st.sampled_from(starts), max_size=5)) if starts else []
    # `run` holds the sum of the counters to the lines.
    whole, pieces = run("python", data, setting), run("python", data, setting, cuts)
    assert whole.events == pieces.events
    assert whole.counters == pieces.counters
    lines = data.split(b"\n")
    assert whole.counters["lines"] == len(lines) - (lines[-1] == b"")
    m = matcher("python", setting.formats, setting.zone)
    assert m.sniff(data) in (None, "syslog", *(fmt.name for fmt in setting.formats if fmt.own_probe is not None))
    for line in lines:
        m.timestamp(line, layout=layout, reference=REFERENCE)
    for event in whole.events:
        assert event.offset == 0 or data[event.offset - 1 : event.offset] == b"\n"
        assert (event.kind == "missed") == (event.reason is not None) == (event.timestamp is None)
    share(whole.events)

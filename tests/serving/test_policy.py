"""The decoder of Postfix's policy protocol: any stream, cut anywhere; and nothing but a request is taken for one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.serving.policy import LONGEST, Decoder, PolicyError, Request, encode, parse

#: What smtpd 3.7 sends for a RCPT (SMTPD_POLICY_README), unread attributes among them.
RCPT = b"""request=smtpd_access_policy
protocol_state=RCPT
protocol_name=ESMTP
client_address=203.0.113.5
client_name=unknown
client_port=53412
reverse_client_name=unknown
server_address=127.0.0.1
server_port=25
helo_name=client.test
sender=user@here.test
recipient=a=b@elsewhere.test
recipient_count=0
queue_id=
instance=7f3.674b1c2e.a41b.0
size=0
etrn_domain=
stress=
sasl_method=
sasl_username=
sasl_sender=
ccert_subject=
ccert_issuer=
ccert_fingerprint=
ccert_pubkey_fingerprint=
encryption_protocol=
encryption_cipher=
encryption_keysize=0
policy_context=
"""


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def test_what_smtpd_sends_is_read() -> None:
    [request] = Decoder().feed(RCPT + b"\n")
    assert parse(request) == Request("RCPT", "203.0.113.5", "7f3.674b1c2e.a41b.0", "", "", "0", "")
    later = RCPT.replace(b"queue_id=", b"queue_id=4ZpX1c2Jz7").replace(b"sasl_username=", b"sasl_username=J\xf6rg=x ")
    assert parse(later[:-1]) == Request("RCPT", "203.0.113.5", "7f3.674b1c2e.a41b.0", "4ZpX1c2Jz7", "J\ufffdrg=x ", "0")


#: Pieces that make requests, faults of them and the borders between them.
PIECES = [
    b"request=smtpd_access_policy\n",
    b"protocol_state=RCPT\n",
    b"client_address=203.0.113.5\n",
    b"recipient=\xff=\0\n",
    b"\n",
    b"\n\n",
    b"nothing",
    b"=\n",
    b"x" * 9_000,
    b"y=" + b"z" * (LONGEST - 40) + b"\n",
]
STREAMS = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
ENDS = {"end": 0, "partial": 0, "too long": 0}


def reference(stream: bytes) -> tuple[list[bytes], str]:
    """The requests of a whole stream, byte by byte, and how it ends."""
    found, at = [], bytearray()
    for byte in stream:
        at.append(byte)
        if at.endswith(b"\n\n"):
            if len(at) > LONGEST:
                return found, "too long"
            found.append(bytes(at[:-2]))
            at.clear()
        elif len(at) >= LONGEST:
            return found, "too long"
    return found, "partial" if at else "end"


@given(STREAMS, st.lists(st.integers(0, 40_000), max_size=20))
def test_requests_come_out_however_they_were_cut(stream: bytes, places: list[int]) -> None:
    expected, end = reference(stream)
    ENDS[end] += 1
    decoder = Decoder()
    found: list[bytes] = []
    try:
        for piece in cut(stream, places):
            found += decoder.feed(piece)
            assert len(decoder._buffer) < LONGEST
    except PolicyError:
        assert end == "too long"
        assert found == expected[: len(found)], "requests before it in the same piece are lost, no others"
    else:
        assert found == expected
        assert end == ("partial" if decoder.partial else "end")


def test_the_streams_above_end_in_all_ways() -> None:
    """Runs after the property: each kind of end made up a fair share of its examples."""
    if not sum(ENDS.values()):
        pytest.skip("the property did not run")
    assert min(ENDS.values()) >= 0.05 * sum(ENDS.values()), ENDS


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\n",
        b"protocol_state=RCPT",
        b"request=junk_policy\nprotocol_state=RCPT",
        b"request=smtpd_access_policy \nprotocol_state=RCPT",
        b"request=smtpd_access_policy\r\nprotocol_state=RCPT\r",
        b"request=smtpd_access_policy\nprotocol_state",
        b"request=smtpd_access_policy\nclient_address=203.0.113.5\nclient_address=203.0.113.6",
        b"request=smtpd_access_policy\nsasl_username=ann\nsasl_username=",
        b"request=smtpd_access_policy\ninstance=" + b"a" * 65,
        b"request=smtpd_access_policy\ninstance=a b",
        b"request=smtpd_access_policy\nqueue_id=" + b"4" * 65,
        b"request=smtpd_access_policy\nqueue_id=4ZpX1\x1b[2J",
        b"request=smtpd_access_policy\nqueue_id=4ZpX1 count=0",
        b"GET / HTTP/1.0\r\nHost: x\r",
        b"16:pbs 198.51.100.7,",
    ],
)
def test_what_is_no_request_of_smtpd_is_none(request_: bytes) -> None:
    with pytest.raises(PolicyError):
        parse(request_)


@given(st.dictionaries(st.sampled_from([*Request._fields, "recipient", "helo_name"]), st.text(max_size=9), max_size=8))
def test_attributes_are_read_as_they_are_written(attributes: dict[str, str]) -> None:
    """In any order, with anything but a line feed in them: no value can be taken for another attribute."""
    # Those that name a message are of few characters.
    names = {"instance": "7f3.674b1c2e.a41b.0", "queue_id": "4ZpX1c2Jz7"}
    attributes = {name: names.get(name, value.replace("\n", "")) for name, value in attributes.items()}
    lines = [f"{name}={value}" for name, value in attributes.items()]
    for place in {0, len(lines) // 2, len(lines)}:
        text = "\n".join([*lines[:place], "request=smtpd_access_policy", *lines[place:]])
        request = parse(text.encode("utf-8", "surrogatepass"))
        for name, value in attributes.items():
            if name in Request._fields:
                expected = value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
                assert getattr(request, name) == expected


@given(st.text())
def test_a_reply_is_one_line_and_an_end(action: str) -> None:
    reply = encode(action)
    assert reply.startswith(b"action=")
    assert reply.endswith(b"\n\n")
    assert len(reply) == len(action) + 9
    assert all(0x20 <= byte <= 0x7E for byte in reply[:-2])

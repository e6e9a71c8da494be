"""The wire: each request comes back as it was, all else is refused by name, and no bytes do more than that."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbs_fast.control.protocol import (
    EVENTS,
    IN_ORDER,
    LONGEST_MANUAL,
    REQUESTS,
    UNUSED,
    AnyRequest,
    Forget,
    Grant,
    List,
    Metrics,
    Ping,
    Refusals,
    Reload,
    RequestError,
    Revoke,
    Status,
    Target,
    Undo,
    Watch,
    Why,
    target_of,
)
from pbs_fast.control.wire import decode_request, encode_request, line
from pbs_fast.log.records import Kind

IPS = st.sampled_from(["203.0.113.5", "2001:db8::5", "0.0.0.0"])  # noqa: S104 - an address in a message
USERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=256)
REASONS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SECONDS = st.integers(1, LONGEST_MANUAL)
WHOM = st.one_of(
    st.builds(lambda ip: {"ip": ip}, IPS),
    st.just({"network": "192.0.2.0/24"}),
    st.builds(lambda user: {"user": user}, USERS),
    st.just({"node": "pop1"}),
)
WHOM_ONLY = st.one_of(st.builds(lambda ip: {"ip": ip}, IPS), st.builds(lambda user: {"user": user}, USERS))
ANY = st.one_of(
    st.sampled_from([Ping(), Status(), Metrics(), Reload(), List(), Refusals(), Forget("pop1")]),
    st.builds(lambda whom: Why(**whom), WHOM_ONLY),
    st.builds(lambda whom: Refusals(**whom), WHOM_ONLY),
    st.builds(List, st.sampled_from(["lmdb:/x", "socketmap:unix:pbs/sock:pbs"])),
    st.builds(Watch, st.lists(st.sampled_from(EVENTS), unique=True).map(tuple)),
    st.builds(
        lambda whom, for_s, reason: Revoke(**whom, for_s=for_s, reason=reason), WHOM, st.none() | SECONDS, REASONS
    ),
    st.builds(Grant, IPS, SECONDS, REASONS),
    st.builds(lambda whom, reason: Undo(**whom, reason=reason), WHOM, REASONS),
)


@given(st.integers(0, (1 << 53) - 1), ANY)
def test_a_request_comes_back_as_it_was(number: int, request_: AnyRequest) -> None:
    data = encode_request(number, request_)
    assert data.endswith(b"\n")
    assert b"\n" not in data[:-1]
    assert decode_request(data) == (number, request_)


def test_each_kind_of_request_is_among_the_examples() -> None:
    made: set[str] = set()

    @given(ANY)
    def collect(request_: AnyRequest) -> None:
        made.add(request_.do)

    collect()
    assert made == set(REQUESTS)


REFUSED = [
    (b"", "not a JSON object in UTF-8"),
    (b"\xff", "not a JSON object in UTF-8"),
    ('{"v":1,"id":1,"do":"ping"}'.encode("utf-16"), "not a JSON object in UTF-8"),
    (b"[" * 60_000, "not a JSON object in UTF-8"),
    (b'{"id":' + b"9" * 5_000 + b"}", "not a JSON object in UTF-8"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b"{}", '"id" must be a whole number from 0 to 2^53-1'),
    (b'{"id":true}', '"id" must be a whole number from 0 to 2^53-1'),
    (b'{"id":-1}', '"id" must be a whole number from 0 to 2^53-1'),
    (b'{"id":1}', '"v" must be 1, the version of the protocol that this daemon speaks'),
    (b'{"id":1,"v":2}', '"v" must be 1, the version of the protocol that this daemon speaks'),
    (b'{"id":1,"v":1}', '"do": this is not known here; known are ping, status, metrics, why, list'),
    (b'{"id":1,"v":1,"do":[]}', '"do": this is not known here; known are ping, status, metrics, why, list'),
    (b'{"id":1,"v":1,"do":"revok"}', '"do": revok is not known here; did you mean revoke?'),
    (b'{"id":1,"v":1,"do":"ping","ip":"::1"}', '"ping": ip is not known here; '),
    (b'{"id":1,"v":1,"do":"why","usr":"ann"}', '"why": usr is not known here; did you mean user?'),
    (b'{"id":1,"v":1,"do":"why"}', '"why" needs exactly one of ip, user'),
    (b'{"id":1,"v":1,"do":"why","ip":"::1","user":"ann"}', '"why" needs exactly one of ip, user'),
    (b'{"id":1,"v":1,"do":"revoke","ip":"::1","network":"::/8"}', '"revoke" needs exactly one of ip, network, user'),
    (b'{"id":1,"v":1,"do":"undo"}', '"undo" needs exactly one of ip, network, user'),
    (b'{"id":1,"v":1,"do":"grant","ip":"::1"}', '"grant" needs for'),
    (b'{"id":1,"v":1,"do":"grant"}', '"grant" needs ip and for'),
    (b'{"id":1,"v":1,"do":"grant","ip":"::1","for":0}', '"for" must be whole seconds from 1 to 2592000'),
    (b'{"id":1,"v":1,"do":"grant","ip":"::1","for":2592001}', '"for" must be whole seconds from 1 to 2592000'),
    (b'{"id":1,"v":1,"do":"grant","ip":"::1","for":true}', '"for" must be whole seconds from 1 to 2592000'),
    (b'{"id":1,"v":1,"do":"grant","ip":"203.0.113","for":1}', '"ip" must be an IP address'),
    (b'{"id":1,"v":1,"do":"why","ip":7}', '"ip" must be an IP address'),
    (b'{"id":1,"v":1,"do":"revoke","network":"192.0.2.1/24"}', '"network" must be a network such as 192.0.2.0/24'),
    (b'{"id":1,"v":1,"do":"revoke","user":""}', '"user" must be a text of at most 256 characters'),
    (b'{"id":1,"v":1,"do":"revoke","user":"\\ud800"}', '"user" must be a text in UTF-8'),
    (b'{"id":1,"v":1,"do":"watch","kinds":"granted"}', '"kinds" must be a list of kinds of events'),
    (b'{"id":1,"v":1,"do":"watch","kinds":["grantd"]}', '"kinds": grantd is not known here; did you mean granted?'),
    (b'{"id":1,"v":1,"do":"watch","kinds":[{}]}', '"kinds": this is not known here; known are granted'),
]


@pytest.mark.parametrize(("data", "text"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_refused_and_how(data: bytes, text: str) -> None:
    with pytest.raises(RequestError) as raised:
        decode_request(data)
    assert str(raised.value).startswith(text)
    assert raised.value.code == "bad_request"
    assert raised.value.id == (1 if b'"id":1' in data and b"utf" not in data else None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["ip", "user", "network", "for", "reason", "kinds", "table", "x"]
RECORDS = st.builds(
    lambda do, more, drop: {key: value for key, value in {"v": 1, "id": 1, "do": do, **more}.items() if key != drop},
    st.sampled_from([*REQUESTS, *REQUESTS, "x", None]),
    st.dictionaries(st.sampled_from(KEYS), JSON | IPS | st.just(60), max_size=2),
    st.sampled_from(["", "", "", "v", "id", "do"]),
)


@given(RECORDS.map(json.dumps).map(str.encode) | st.binary(max_size=200))
def test_any_bytes_are_a_request_or_an_error(share: Callable[[object], None], data: bytes) -> None:
    said = ""
    try:
        number, request_ = decode_request(data)
    except RequestError as error:
        said = str(error)
    else:
        assert decode_request(encode_request(number, request_)) == (number, request_)
    assert said.isprintable()
    assert len(said) < 1_000
    share("not known here" not in said and "JSON object" not in said)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("203.0.113.5", Target(ip="203.0.113.5")),
        ("::ffff:203.0.113.5", Target(ip="203.0.113.5")),
        ("2001:DB8::1", Target(ip="2001:db8::1")),
        ("192.0.2.0/24", Target(network="192.0.2.0/24")),
        ("192.0.2.7/32", Target(ip="192.0.2.7")),
        ("ann@example.org", Target(user="ann@example.org")),
        ("ann/imap", Target(user="ann/imap")),
        ("203.0.113", Target(user="203.0.113")),
    ],
)
def test_whom_an_administrator_means(text: str, target: Target) -> None:
    assert target_of(text) == target
    assert target.what
    assert getattr(target, target.kind) == target.what


def test_a_network_with_host_bits_is_not_taken_for_a_user() -> None:
    with pytest.raises(ValueError, match="has bits set after its prefix"):
        target_of("192.0.2.7/24")


def test_what_is_in_order_are_events() -> None:
    assert set(EVENTS) > IN_ORDER
    sent = {name for each in get_args(Kind) for name in get_args(each)}
    assert sent == set(EVENTS) - UNUSED, "what `watch` names to choose from is what is sent"
    assert len(set(EVENTS)) == len(EVENTS)


def test_bytes_that_are_no_text_are_sent_escaped() -> None:
    assert json.loads(line({"user": "a\udcff"})) == {"user": "a\udcff"}
    assert line({"user": "ä\n"}) == '{"user":"ä\\n"}\n'.encode()

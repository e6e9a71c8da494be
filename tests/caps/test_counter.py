"""What is counted against which cap, compared with a list of all that was accepted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbs_fast.caps.attribution import Attribution, sent_by
from pbs_fast.caps.counter import CapCounter
from pbs_fast.caps.counts import Counts, Kept, key_of
from pbs_fast.caps.decision import Caps
from pbs_fast.caps.limits import Action, Cap, Limits, parse_cap
from pbs_fast.caps.windows import PARTS
from pbs_fast.config.model import CapException

START = 1_790_000_000.0
A, B = "192.0.2.1", "192.0.2.2"


def send(caps: Caps, user: str | None, address: str, now: float, n: int = 1, *, message: str = "m") -> list[str]:
    """The verdicts on a message with `n` recipients."""
    found: list[str] = []
    for _ in range(n):
        found.append(caps.count(user, address, message, "", now, new_message=not {"ok", "warn"} & {*found}).kind)
    return found


class Naive:
    """All that was accepted, as a list."""

    def __init__(self, user: Sequence[Cap], address: Sequence[Cap]) -> None:
        self._caps = {"user": user, "address": address}
        self._accepted: list[tuple[dict[str, str], float, bool]] = []

    def admits(self, user: str, address: str, now: float, *, new_message: bool) -> bool:
        names = {"user": user.casefold(), "address": address}
        for of, caps in self._caps.items():
            for cap in caps:
                part = now * PARTS // cap.rate.seconds
                used = sum(
                    each[of] == names[of]
                    and part - PARTS < when * PARTS // cap.rate.seconds
                    and (new or not cap.messages)
                    for each, when, new in self._accepted
                )
                if (new_message or not cap.messages) and used >= cap.rate.limit:
                    return False
        self._accepted.append((names, now, new_message))
        return True


STEPS = st.lists(
    st.tuples(
        st.integers(0, 1_200), st.sampled_from(["anna", "ANNA", "otto"]), st.sampled_from([A, B]), st.integers(1, 5)
    ),
    max_size=40,
)


@given(
    st.sampled_from([["4/1h"], ["9/1d", "3/10m"], ["messages:2/1h", "7/2h"], []]),
    st.sampled_from([["6/1h"], ["messages:4/1h"], []]),
    STEPS,
)
@settings(max_examples=60)
def test_it_admits_what_a_list_admits(
    share: Callable[[object], None],
    user: list[str],
    address: list[str],
    steps: list[tuple[int, str, str, int]],
) -> None:
    caps = CapCounter(Limits(user, address))
    naive = Naive([parse_cap("user", text) for text in user], [parse_cap("address", text) for text in address])
    now, refused = START, 0
    for number, (step, name, ip, recipients) in enumerate(steps):
        now += step
        accepted = False
        for _ in range(recipients):
            admits = naive.admits(name, ip, now, new_message=not accepted)
            verdict = caps.count(name, ip, str(number), "", now, new_message=not accepted)
            assert verdict.kind == ("ok" if admits else "over")
            accepted |= admits
            refused += not admits
    assert sum(caps.exceeded.values()) == refused
    share(refused)


def test_the_201st_is_refused_and_a_client_that_retries_recovers() -> None:
    caps = CapCounter(Limits(["200/1h"]))
    assert send(caps, "anna", A, START, 300).count("ok") == 200
    verdict = caps.count("anna", A, "m", "", START, new_message=False)
    assert verdict == ("over", "200 of 200 recipients in an hour", "user 200/1h")
    # A scanner tries every minute; what is refused does not prolong the wait.
    tries = [caps.count("anna", A, "n", "", START + 60 * minute, new_message=True).kind for minute in range(1, 61)]
    assert tries.count("ok") > 0
    assert tries.index("ok") in range(54, 60), "after eleven parts of five minutes, at the latest after twelve"


def test_two_users_behind_one_address() -> None:
    caps = CapCounter(Limits(["5/1h"], ["8/1h"]))
    assert send(caps, "anna", A, START, 6) == ["ok"] * 5 + ["over"]
    assert send(caps, "otto", A, START, 5) == ["ok"] * 3 + ["over"] * 2, "the address has its own cap"
    assert (
        caps.count("otto", A, "m", "", START, new_message=False).text
        == "8 of 8 recipients in an hour from this address"
    )
    assert send(caps, "otto", B, START, 3) == ["ok", "ok", "over"], "what the address refused did not count for otto"
    assert send(caps, "Anna", B, START) == ["over"], "names in another case are the same login"
    assert send(caps, None, B, START, 7) == ["ok"] * 6 + ["over"], "a row without a user counts for its address"


def test_a_message_counts_once_with_its_first_accepted_recipient() -> None:
    caps = CapCounter(Limits(["messages:2/1h", "100/1h"]))
    assert send(caps, "anna", A, START, 9, message="a") == ["ok"] * 9
    assert send(caps, "anna", A, START, 9, message="b") == ["ok"] * 9
    assert send(caps, "anna", A, START, 2, message="c") == ["over"] * 2
    assert [use.used for use in caps.uses("anna", A, START)] == [2, 18]


@pytest.mark.parametrize(
    ("action", "verdict", "used"), [("warn", "warn", 5), ("hold", "hold", 3), ("defer", "over", 3)]
)
def test_actions(action: Action, verdict: str, used: int) -> None:
    caps = CapCounter(Limits(["3/1h"], action=action))
    assert send(caps, "anna", A, START, 5) == ["ok"] * 3 + [verdict] * 2
    (use,) = caps.uses("anna", A, START)
    assert (use.used, use.refused) == (used, 2)
    assert caps.holds == (action == "hold")


def test_an_alarm_comes_once_an_hour_and_a_login_over_and_over_again_is_revoked() -> None:
    wakes: list[int] = []
    caps = CapCounter(Limits(["3/1h"], revoke_after=2), lambda: wakes.append(1))
    send(caps, "Anna", A, START, 8)
    (alarm,) = caps.alarms
    assert alarm[:5] == ("user", "Anna", "user 3/1h", "3 of 3 recipients in an hour", 3)
    assert not alarm.revoke
    assert len(wakes) == 1
    send(caps, "anna", A, START + 60)
    assert [each.revoke for each in caps.alarms] == [False, True], "six refused recipients are two caps' worth"
    send(caps, "anna", A, START + 61)
    assert len(caps.alarms) == 2
    assert send(caps, "anna", A, START + 4_000, 4) == ["ok"] * 3 + ["over"]
    assert len(caps.alarms) == 3, "an hour later it is an alarm again"
    assert caps.over(START + 4_000) == {"user": 1, "address": 0}
    assert caps.over(START + 8_000) == {"user": 0, "address": 0}


def test_shares_tell_nearness_and_no_names() -> None:
    caps = CapCounter(Limits(["4/1h"], ["10/1h"]))
    assert caps.shares(START) == {"user 4/1h": (0, 0.0), "address 10/1h": (0, 0.0)}
    send(caps, "anna", A, START, 3)
    send(caps, "otto", A, START, 1)
    assert caps.shares(START) == {"user 4/1h": (0, 0.75), "address 10/1h": (0, 0.4)}
    send(caps, "anna", A, START, 2)
    assert caps.shares(START) == {"user 4/1h": (1, 1.0), "address 10/1h": (0, 0.5)}
    caps.reload(Limits(["4/1h"], ["20/1h"]))
    assert caps.shares(START) == {"user 4/1h": (1, 1.0), "address 20/1h": (0, 0.0)}
    restarted = CapCounter(Limits(["4/1h"]))
    restarted.restore(caps.kept(START), START)
    assert send(restarted, "anna", A, START) == ["over"]
    assert restarted.shares(START) == {"user 4/1h": (1, 1.0)}
    assert caps.shares(START + 3_700) == {"user 4/1h": (0, 0.0), "address 20/1h": (0, 0.0)}


def test_an_exception_and_a_reload_keep_what_was_counted() -> None:
    caps = CapCounter(Limits(["3/1h"], exemptions=[CapException(users=("Scanner",), user=("5/1h",))]))
    assert send(caps, "scanner", A, START, 6) == ["ok"] * 5 + ["over"]
    assert send(caps, "anna", A, START, 4) == ["ok"] * 3 + ["over"]
    caps.reload(Limits(["4/1h", "9/1d"]))
    assert send(caps, "anna", A, START, 2) == ["ok", "over"]
    assert send(caps, "scanner", A, START) == ["over"]
    caps.reload(Limits())
    assert send(caps, "anna", A, START, 99) == ["ok"] * 99
    assert caps.uses("anna", A, START) == []


def test_memory_is_bounded_and_too_many_are_counted_together() -> None:
    caps = CapCounter(Limits(["5/1h"], ["7/1h"]), most=10)
    for number in range(10):
        assert send(caps, None, f"198.51.100.{number}", START + number) == ["ok"]
    verdicts = [kind for number in range(20) for kind in send(caps, f"user{number}", f"203.0.113.{number}", START + 20)]
    assert verdicts == ["ok"] * 7 + ["over"] * 13, "all that are too many share the cap of an address"
    assert caps.alarms[0].what == ""
    assert send(caps, None, "198.51.100.3", START + 20) == ["ok"], "who was there first is counted apart"
    assert send(caps, None, "203.0.113.200", START + 3_625) == ["ok"], "who was silent for an hour makes room"
    assert caps.uses(None, "203.0.113.200", START + 3_625)[0].used == 1, "and is counted apart"
    counts = Counts(3)
    counts.shape([parse_cap("user", "5/1h")])
    for number in range(1_000):
        counts.take(key_of("user", str(number)), START + number)
    assert len(counts) == 4


def test_who_sent_lately_is_kept() -> None:
    counts = Counts(2)
    counts.shape([parse_cap("user", "5/1h")])
    for name, second in (("a", 0), ("b", 10), ("a", 3_000), ("c", 3_610)):
        counts.take(key_of("user", name), START + second)
    assert counts.keys() == [("user", "a"), ("user", "c")]


def test_what_is_restored_is_never_of_the_future() -> None:
    counts, cap = Counts(), parse_cap("user", "5/1h")
    counts.shape([cap])
    now = START // 300 * 300 + 250
    counts.restore([Kept(key_of("user", "a"), (False, 3_600), [(now + 200, 5)])], now)
    tally = counts.get(key_of("user", "a"))
    assert tally is not None
    assert tally.used(cap, now) == 5
    assert tally.used(cap, now - 250 + 3_600) == 0


def test_long_names_do_not_fill_memory() -> None:
    assert key_of("user", "x" * 5_000) == ("user", "x" * 256)


def test_messages_are_known_by_login_address_and_queue_id() -> None:
    caps = CapCounter(Limits())
    caps.count("Anna", A, "1", "", START, new_message=True)
    caps.count("Anna", A, "1", "Q1", START + 1, new_message=False)
    assert [each.queue_id for each in caps.sent()] == ["Q1"]
    caps.queued("Anna", A, "1", "Q1", START + 2)
    caps.count("otto", A, "2", "", START + 3, new_message=True)
    caps.queued("otto", A, "2", "Q2", START + 3)
    caps.queued("otto", A, "unknown", "Q3", START + 3)
    assert [(each.user, each.queue_id, each.recipients) for each in caps.sent()] == [
        ("Anna", "Q1", 2),
        ("otto", "Q2", 1),
    ]
    assert [each.queue_id for each in sent_by(caps.sent(), "ANNA", None, 0)] == ["Q1"]
    assert [each.queue_id for each in sent_by(caps.sent(), None, A, START + 1)] == ["Q2"]
    capped = CapCounter(Limits(["1/1h"]))
    send(capped, "anna", A, START, message="1")
    send(capped, "anna", A, START, message="2")
    assert len(capped.sent()) == 1, "what is refused is nobody's mail"
    few = Attribution(3)
    for number in range(10):
        few.accepted("anna", A, str(number), "", START)
    assert len(few) == 3
    few.accepted("anna", A, "late", "", START + 90_000)
    assert len(few) == 1


def test_threads_lose_nothing() -> None:
    caps = CapCounter(Limits(["1000/1h"], ["100000/1h"]))

    def work(name: str) -> None:
        for _ in range(500):
            caps.count("anna", A, name, "", START, new_message=False)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    user, address = caps.uses("anna", A, START)
    assert (user.used, user.refused, address.used) == (1_000, 1_000, 1_000)

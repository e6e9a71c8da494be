"""`count_sessions`: an address stays while its session is open, over restarts too, and for grace after its end."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from daemon.running import Site, login, noise, timestamp

A, B, C = "203.0.113.1", "203.0.113.2", "2001:db8::3"


def opened(ip: str, session: str, at: float | None = None) -> str:
    """A login at Dovecot."""
    return login(ip, at=at).replace("9mVjWnQ7pQDLAHEF", session)


def closed(session: str, at: float | None = None) -> str:
    """The end of its session, which names no address."""
    return f"{timestamp(at)} hub dovecot: imap(ann)<71><{session}>: Disconnected: Logged out in=9 out=99 deleted=0"


@pytest.fixture
def counting(site: Site) -> Site:
    site.grace = 2
    site.configure(f'count_sessions = true\nmax_session = 7200\ncheckpoint = "{site.place}/sessions"\n')
    site.append(noise(time.time() - 8000))
    return site


def checkpoint(site: Site) -> Path:
    return site.place / "sessions"


def test_a_session_keeps_its_address_past_grace_until_it_ends(counting: Site) -> None:
    site = counting
    site.grace = 600
    clocks = site.set_clocks()
    site.start()
    site.append(opened(A, "one"), opened(B, "two"), opened(B, "three"), opened(C, "four"), closed("four"))
    site.wait_rows(A, B, C)
    clocks.advance(site.grace + 1)
    site.wait_rows(A, B)
    site.append(closed("one", site.now()), closed("two", site.now()))
    clocks.advance(site.grace / 2)
    site.append(opened(C, "five", site.now()))
    site.wait_rows(A, B, C)
    clocks.advance(site.grace / 2 + 1)
    site.wait_rows(B, C)
    site.append(closed("three", site.now()), closed("five", site.now()))
    clocks.advance(site.grace + 1)
    site.wait_rows()


def test_a_logout_alone_grants_nothing(counting: Site) -> None:
    site = counting
    site.start()
    site.append(closed("nine"), opened(A, "one"))
    site.wait_rows(A)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_open_sessions_outlive_a_restart(counting: Site, end: signal.Signals) -> None:
    """After SIGTERM by the checkpoint; after a kill by the log, which holds the login."""
    site = counting
    daemon = site.start()
    now = time.time()
    site.append(opened(A, "one", now - 3600), opened(B, "two", now - 3600), opened(C, "three", now - 3600))
    site.wait_rows(A, B, C)
    if end is signal.SIGTERM:
        assert daemon.stop() == 0
    else:
        daemon.kill()
    assert checkpoint(site).exists() == (end is signal.SIGTERM)
    site.append(closed("two"), closed("three", now - 60))
    site.start()
    assert site.said().count("continued from the checkpoint of") == (end is signal.SIGTERM)
    assert C not in site.rows()
    site.wait_rows(A)
    site.append(closed("one"))
    site.wait_rows()


def test_with_a_checkpoint_the_log_before_it_is_not_needed(counting: Site) -> None:
    """The logins stand in a file that is long gone; what came after the last run is read, rotation included."""
    site = counting
    daemon = site.start()
    site.append(opened(A, "one"), opened(B, "two"))
    site.wait_rows(A, B)
    assert daemon.stop() == 0
    site.append(closed("two"))
    site.log.rename(site.place / "mail.log.1")
    site.log.touch()
    site.append(opened(C, "three"))
    site.start()
    site.wait_rows(A, C)
    assert site.said().count("2 addresses and 2 open sessions") == 1


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("damaged", "is damaged (JSONDecodeError)"),
        ("of another log", "was written for other logs"),
        ("old", "s old"),
        ("of a file that is gone", "no longer exists"),
        ("absent", "there is none"),
    ],
)
def test_a_checkpoint_that_is_not_right_is_not_used(counting: Site, fault: str, said: str) -> None:
    site = counting
    daemon = site.start()
    now = time.time()
    site.append(opened(A, "one", now - 3600))
    site.wait_rows(A)
    assert daemon.stop() == 0
    file = checkpoint(site)
    record = json.loads(file.read_bytes())
    # Were it believed, B could relay.
    (row,) = record["rows"].values()
    record["rows"][B] = row
    record["sessions"].append([*record["sessions"][0][:3], "other", B, *record["sessions"][0][5:]])
    (position,) = record["logs"].values()
    if fault == "of another log":
        record["logs"] = {b"/var/log/other".hex(): position}
    elif fault == "old":
        record["written"] -= 7300
        record["sessions"] = [[*each[:5], each[5] - 7300, *each[6:]] for each in record["sessions"]]
    elif fault == "of a file that is gone":
        position["inode"] += 1
        position["head"] = bytes.fromhex(position["head"])[::-1].hex()
    file.write_text("{" if fault == "damaged" else json.dumps(record))
    if fault == "absent":
        file.unlink()
    site.start()
    assert any("the checkpoint cannot be used: " in line and said in line for line in site.said().splitlines())
    assert site.rows() == [A]


def test_a_checkpoint_that_cannot_be_written_is_said_once_and_harms_nothing(counting: Site) -> None:
    site = counting
    site.configure(f'count_sessions = true\ncheckpoint = "{site.place}/nowhere/sessions"\n')
    daemon = site.start()
    site.append(opened(A, "one"))
    site.wait_rows(A)
    assert daemon.stop() == 0
    assert site.said().count("cannot write the checkpoint") == 1
    assert site.rows() == [A]


def test_a_denied_address_does_not_come_back_with_the_checkpoint(counting: Site) -> None:
    site = counting
    daemon = site.start()
    site.append(opened(A, "one"), opened(B, "two"))
    site.wait_rows(A, B)
    assert daemon.stop() == 0
    site.deny.write_text(f'[[deny]]\naddresses = ["{A}"]\n')
    site.start()
    assert site.rows() == [B]
    site.append(closed("one"), opened(C, "three"))
    site.wait_rows(B, C)


def test_max_session_ends_what_no_logout_ended(counting: Site) -> None:
    site = counting
    site.configure(f'count_sessions = true\nmax_session = 6000\ncheckpoint = "{site.place}/sessions"\n')
    clocks = site.set_clocks()
    site.start()
    now = time.time()
    site.append(opened(A, "one", now - 4000), opened(B, "two", now - 2000))
    site.wait_rows(A, B)
    clocks.advance(1000)
    site.append(opened(C, "three", site.now()))
    site.wait_rows(A, B, C)
    clocks.advance(2000)
    site.wait_rows(B, C)


def test_reprocess_takes_over_the_sessions_that_are_still_open(counting: Site) -> None:
    site = counting
    now = time.time()
    site.append(
        opened(A, "one", now - 3600),
        opened(B, "two", now - 3500),
        closed("two", now - 3000),
        opened(C, "three", now - 7300),
    )
    site.start("--reprocess")
    assert site.rows() == [A]
    site.append(closed("one"))
    site.wait_rows()


def test_a_login_stamped_ahead_holds_no_longer_than_one_of_now(counting: Site) -> None:
    """Timestamps are the clock of a log that is reprocessed, but not of what it leaves and the checkpoint keeps."""
    site = counting
    site.append(opened(A, "one", time.time() + 250), opened(B, "two", time.time() + 4 * 365 * 86_400))
    daemon = site.start("--reprocess")
    assert daemon.stop() == 0
    record = json.loads(checkpoint(site).read_bytes())
    now = time.time()
    assert [end <= now + site.grace for end, *_ in record["rows"].values()] == [True]
    assert [each[5] <= now for each in record["sessions"]] == [True]


def test_sessions_that_are_joined_by_their_process_are_found_in_the_log(counting: Site) -> None:
    """popa3d: the line of the end names nothing but the process, so the checkpoint does not do."""
    site = counting
    daemon = site.start()
    now = time.time()

    def popa3d(text: str, at: float) -> str:
        return f"{timestamp(at)} hub popa3d[610]: {text}"

    site.append(popa3d(f"Session from {A}", now - 3600), popa3d("Authentication passed for ines", now - 3600))
    site.wait_rows(A)
    assert daemon.stop() == 0
    site.start()
    assert "popa3d's sessions need the whole log" in site.said()
    assert site.rows() == [A]
    site.append(popa3d("0 (0) deleted, 2 (99) left", time.time()))
    site.wait_rows()

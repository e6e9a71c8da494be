"""Guards as the administrator sees them: who is believed, how many are too many, and what is said of it."""

from __future__ import annotations

from daemon.running import Site, lines_with, login

A, B, C = "203.0.113.1", "203.0.113.2", "203.0.113.3"


def test_only_lines_of_the_hosts_that_are_listed(site: Site) -> None:
    site.configure('[guards]\nhosts = ["Hub"]\n')
    site.append(login(B, host="stranger"))
    site.start()
    site.append(login(C, host="stranger"), login(A, host="hub"))
    site.wait_rows(A)
    assert "more than one host" not in site.said()


def test_more_than_one_host_without_a_list_is_said_once(site: Site) -> None:
    site.start()
    for _ in range(3):
        site.append(login(A, host="hub"), login(B, host="stranger"))
    site.wait_rows(A, B)
    assert len(lines_with(site.said(), "contains lines of more than one host \\(hub, stranger\\)")) == 1


def test_max_rows_stops_grants_and_says_so(site: Site) -> None:
    site.configure("[guards]\nmax_rows = 2\n")
    daemon = site.start()
    site.append(login(A), login(B))
    site.wait_rows(A, B)
    for number in range(3):
        site.append(login(C), login(f"10.0.0.{number}"), login(A))
    site.wait_said("guards.max_rows is reached")
    assert site.holds(A, B)
    site.wait_said("guards.max_rows")
    assert daemon.stop() == 0
    assert len(lines_with(site.said(), "guards.max_rows is reached")) == 1
    assert f"guards.max_rows is reached: {C} and other new addresses get no grant" in site.said()
    assert lines_with(site.said(), "counted ", "granted=2 ", "refused_max_rows=6", "renewed=")


def test_max_new_per_minute(site: Site) -> None:
    site.configure("[guards]\nmax_new_per_minute = 3\n")
    site.start()
    site.append(*(login(f"10.0.0.{number}") for number in range(9)))
    site.wait_said("guards.max_new_per_minute is reached: 10.0.0.3 ")
    site.wait_rows("10.0.0.0", "10.0.0.1", "10.0.0.2")


def test_a_private_address_with_too_many_users_loses_its_grant(site: Site) -> None:
    site.configure("[guards]\nmax_users_per_address = 3\n")
    site.start()
    site.append(*(login("10.0.0.9", f"user{number}") for number in range(3)))
    site.append(*(login(A, f"user{number}") for number in range(3)))
    site.wait_rows("10.0.0.9", A)
    site.append(login("10.0.0.9", "user9"), login(A, "user9"))
    site.wait_rows(A)
    assert lines_with(site.said(), "removed 10.0.0.9 from DB .*refused by the guard max_users_per_address")
    assert lines_with(site.said(), f"{A}: more than 3 users logged in .*keeps its grant")


def test_each_line_ends_in_one_counter(site: Site) -> None:
    """The sums add up: lines to events, logins to outcomes and refusals."""
    site.configure(f'[guards]\nproxies = ["{C}"]\n')
    daemon = site.start()
    site.append(login(A), login(A), login(B), login(C), login("127.0.0.1"), "noise", login("1.2.3"))
    site.append("x" * 20_000, login(B, at=0))
    site.wait_rows(A, B)
    site.append(login("10.0.0.1"))
    site.wait_rows(A, B, "10.0.0.1")
    assert daemon.stop() == 0
    (line,) = lines_with(site.said(), " counted ")
    counts = {name: int(n) for name, _, n in (word.partition("=") for word in line.split(" counted ")[1].split())}
    assert counts["lines"] == 10
    assert counts["lines"] == sum(
        n
        for name, n in counts.items()
        if name in ("login", "logout", "other", "too_long") or name.startswith("missed_")
    )
    outcomes = ("granted", "renewed", "late", "too_old", "refused_ahead", "local", "refused_proxies")
    assert counts["login"] == sum(counts.get(name, 0) for name in outcomes) == 7

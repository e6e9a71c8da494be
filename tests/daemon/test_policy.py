"""The policy service of the real daemon: what status and metrics show of it, and how its threads take turns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from daemon.controlled import asked, status
from daemon.running import Site, login, pbs
from mta import GROUP, wait_for
from pbs_fast.caps.decision import NoCaps
from pbs_fast.config import Config
from pbs_fast.control.protocol import Metrics
from pbs_fast.daemon.open_tables import SWITCH, open_tables
from pbs_fast.util.clock import Clock
from tables.policy import Client

A, B = "203.0.113.1", "203.0.113.2"


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """An smtpd's connection to a daemon for which A has logged in."""
    site.spec = f"policy:unix:{site.place}/policy?alone&mode=0600&group={GROUP}"
    site.cover()
    site.append(login(A))
    site.start()
    client = Client(site.place / "policy")
    with closing(client.socket):
        yield client


def test_status_and_metrics_tell_what_was_asked(site: Site, client: Client) -> None:
    def metrics() -> Callable[..., float]:
        # Asked once for many: who asks much is answered seldom.
        lines = asked(site, Metrics())["text"].splitlines()

        def metric(name: str, labels: str = "") -> float:
            (line,) = [line for line in lines if line.startswith(f"pbs_fast_{name}{labels} ")]
            return float(line.rpartition(" ")[2])

        return metric

    label = f'table="policy:unix:{site.place}/policy"'
    metric = metrics()
    assert (metric("relayed_recipients_total"), metric("relayed_messages_total")) == (0, 0), "from the start"
    answers = [client.ask(ip, instance=message) for ip, message in ((A, "a"), (A, "a"), (A, "b"), (B, "c"))]
    assert answers == ["OK", "OK", "OK", "DUNNO"]
    assert client.data(A, instance="b", queue_id="4ZpX1").startswith("INFO ")
    wait_for("a snapshot", lambda: metrics()("relayed_recipients_total") == 3)
    metric = metrics()
    assert metric("relayed_messages_total") == 2
    assert metric("lookup_clients", f"{{{label}}}") == 1
    for answer, count in {"ok": 3, "dunno": 1, "info": 1, "defer": 0, "hold": 0, "error": 0}.items():
        assert metric("lookups_total", f'{{answer="{answer}",{label}}}') == count, answer
    assert metric("lookup_seconds_count", f"{{{label}}}") == 5
    (table,) = status(site)["tables"]
    assert table["spec"] == f"policy:unix:{site.place}/policy"
    assert table["rows"] == 1
    assert table["served"] is not None
    assert (table["served"]["clients"], table["served"]["requests"]) == (1, 5)
    wait_for("a rate", lambda: status(site)["tables"][0]["served"]["recipients_per_s"])  # type: ignore[index]
    shown = pbs("status", f"--config={site.config}").stdout
    assert "1 smtpd, " in shown
    assert " RCPT/s" in shown


@pytest.mark.parametrize(
    ("kind", "switches"), [("null:", []), (f"policy:unix:{{}}/sock?alone&group={GROUP}", [SWITCH])]
)
def test_threads_take_turns_more_often_where_a_table_is_answered(
    kind: str, switches: list[float], site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[float] = []
    monkeypatch.setattr(sys, "setswitchinterval", found.append)
    config = replace(Config(), dbfile=f"{kind.format(site.place)}{'&mode=0600' if 'alone' in kind else ''}", table=())
    tables = open_tables(config, Clock(), NoCaps())
    for table in tables:
        table.close()
    assert found == switches

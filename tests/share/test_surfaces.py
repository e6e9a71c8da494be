"""What an administrator sees of hubs and nodes: status, metrics, events, and mistakes at the start."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from daemon.controlled import asked, status
from daemon.running import PROGRAM, login, pbs
from mta import PATIENCE, unavailable, wait_for
from pbs_fast.control.protocol import Metrics
from pbs_fast.metrics.families import FAMILIES
from share.hubs import NewHub
from share.nodes import NewNode, Node

pytestmark = pytest.mark.system

A = "203.0.113.5"


def test_metrics_of_hubs_and_nodes(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop.start()
    smtp.start()
    pop.append(login(A))
    smtp.wait_rows(A)

    def text() -> str:
        return asked(smtp, Metrics())["text"]

    wait_for("the row", lambda: 'pbs_fast_node_rows_received_total{node="pop1"} 1.0' in text(), seconds=PATIENCE)
    found = text()
    label = f'hub="1 127.0.0.1:{hub.port}"'
    assert f"pbs_fast_hub_up{{{label}}} 1.0" in found
    assert f'pbs_fast_hub_messages_refused_total{{{label},reason="signature"}} 0.0' in found
    assert 'pbs_fast_rows{origin="hub"} 1.0' in found
    assert "pbs_fast_share_delay_seconds_count 1.0" in found
    for family in FAMILIES:
        if family.startswith(("hub_", "node_", "share_")):
            assert f"# TYPE pbs_fast_{family.removesuffix('_total')}" in found, family
    promtool = shutil.which("promtool")
    if promtool is None:
        unavailable("promtool is not installed")
    checked = subprocess.run([promtool, "check", "metrics"], input=found, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked


def test_status_shows_hubs_and_nodes(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop.start()
    smtp.start()
    pop.append(login(A))
    smtp.wait_rows(A)
    shown = pbs("status", f"--config={smtp.config}")
    assert shown.returncode == 0, shown
    assert "1 address may relay: 1 by other nodes" in shown.stdout
    assert hub.url("smtp1") in shown.stdout
    assert "pop1" in shown.stdout
    hub.kill()
    smtp.wait_status("down", lambda state: state["hubs"][0]["state"] == "down")
    shown = pbs("status", f"--config={smtp.config}")
    assert shown.returncode == 3
    assert "DOWN" in shown.stdout
    assert "! hub valkey://smtp1@" in " ".join(shown.stdout.split())


def test_events_of_hubs(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    smtp = new_node("smtp1", [hub], logs=False)
    smtp.start()
    smtp.wait_up()
    file = smtp.place / "events"
    with file.open("w") as out:
        watcher = subprocess.Popen(
            [PROGRAM, "watch", f"--config={smtp.config}", "--json", "hub_down", "hub_up"], stdout=out
        )
    try:
        wait_for("the watcher", lambda: "pbs_fast_watchers 1.0" in asked(smtp, Metrics())["text"], seconds=PATIENCE)
        hub.kill()
        wait_for("the first event", file.read_text, seconds=PATIENCE)
        hub.start()
        wait_for("the second event", lambda: file.read_text().count("\n") == 2, seconds=PATIENCE)
    finally:
        watcher.kill()
        watcher.wait()
    down, back = map(json.loads, file.read_text().splitlines())
    assert (down["kind"], down["hub"]) == ("hub_down", hub.url("smtp1"))
    assert back["kind"] == "hub_up"


def start_of(node: Node, *more: str) -> tuple[int, str]:
    done = subprocess.run(
        [PROGRAM, "run", *node.arguments(*more)], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.returncode, done.stderr


def test_what_keeps_a_node_from_starting(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    node = new_node("pop1", [hub])
    (node.place / "share.secret").chmod(0o644)
    code, text = start_of(node)
    assert (code, "its mode 0644 lets others use it" in text, text.count("\n")) == (2, True, 1), text
    (node.place / "share.secret").chmod(0o600)
    (node.place / "hub.password").unlink()
    code, text = start_of(node)
    assert (code, "names a user, and there is no file hub.password" in text, text.count("\n")) == (2, True, 1), text
    lonely = new_node("smtp1", [], logs=False)
    code, text = start_of(lonely)
    assert (code, "--watchlog=none: follows no log" in text, text.count("\n")) == (2, True, 1), text
    both = new_node("smtp1", [hub], logs=False)
    code, text = start_of(both, f"--watchlog={both.log}")
    assert (code, "--watchlog=none: follows no log; leave it out" in text) == (2, True), text


def test_a_dry_run_shares_nothing(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    node = new_node("pop1", [hub])
    node.append(login(A))
    node.cover()
    assert pbs("run", *node.arguments("--reprocess", "--once")).returncode == 0
    assert not hub.admin.keys("*")


def test_a_reload_says_what_needs_a_restart(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    node = new_node("pop1", [hub])
    daemon = node.start()
    daemon.reload("reloaded mynetworks, guards, caps and deny list, share.from")
    assert "need" not in node.said()
    node.configure(longest=60)
    daemon.reload("for the other changes: systemctl restart pbs-fast")
    assert (
        json.loads(pbs("status", f"--config={node.config}", "--json").stdout)["node"] == status(node)["node"] == "pop1"
    )

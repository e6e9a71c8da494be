"""Every metric of the daemon: name, type, labels, help. One table, which docs/MONITORING.md and the exposition follow.

Names follow Prometheus' conventions (prometheus.io/docs/practices/naming): base units, `_total` for counters. Labels
come from the configuration or from the code, never from the text of a log, so the number of series is bounded.
Families of hubs and nodes have series where grants are shared; elsewhere they are absent: to Prometheus absence says
"not here", while a 0 would say "here, and nothing happened".
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, NamedTuple

Type = Literal["counter", "gauge", "histogram"]

PREFIX = "pbs_fast_"
#: Values of the label `log`; logs beyond share OTHER.
MOST_LOGS = 64
OTHER = "other"

OUTCOMES = ("granted", "renewed", "late", "too_old", "refused_ahead", "local", "refused")
ORIGINS = ("own", "hub", "recovered", "manual")
CAUSES = ("deny", "guard", "manual", "hub", "cap")
#: Of a table that the daemon answers: a connection closed without an answer, by a fault of ours.
ERROR = "error"
#: Those of socketmap, then those of policy that it adds.
ANSWERS = ("ok", "notfound", "temp", "perm", "dunno", "defer", "hold", "info", ERROR)
RESULTS = ("ok", "denied", "error")
#: Counters of a source (without `log_`) that tell of trouble or of a rotation.
FAULTS = (
    "distrusted",
    "dropped_by_journald",
    "headerless",
    "lost",
    "nul_bytes",
    "overtaken",
    "partial_lost",
    "read_errors",
    "refused",
    "restarts",
    "rotated",
    "too_long",
    "truncated",
)
#: Counters of a source that tell how much it read.
READ = ("copied_bytes", "entries", "notes", "unpacked_bytes")

#: Why a node sent or read a whole stream again, and why messages of a hub were refused.
SENDS = ("end_differs", "hub_step", "asked")
READS = ("start", "gap", "silence", "hub_step", "revoked")
UNACCEPTED = ("signature", "node", "clock", "replay", "malformed", "too_long")

#: Upper bounds of the buckets, in seconds.
TURN_BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
WRITE_BOUNDS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SHARE_BOUNDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
LOOKUP_BOUNDS = (0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.1)


class Family(NamedTuple):
    """One metric."""

    name: str
    """Without PREFIX."""
    type: Type
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets."""


_ALL = (
    Family("build_info", "gauge", ("version", "core", "python"), "Always 1; the labels say what runs."),
    Family("ready", "gauge", (), "1 once the logs were replayed and the tables are in order."),
    Family("loop_last_turn_timestamp_seconds", "gauge", (), "When the loop last turned; it turns at least every 30 s."),
    Family(
        "loop_turn_seconds", "histogram", (), "How long one turn of the loop took, without its waiting.", TURN_BOUNDS
    ),
    Family("config_last_reload_successful", "gauge", (), "1 if the last reload, or else the start, succeeded."),
    Family("config_last_reload_success_timestamp_seconds", "gauge", (), "When the configuration in force was read."),
    Family("log_lines_total", "counter", ("log",), "Lines read, those of the replay too."),
    Family("log_logouts_total", "counter", ("log",), "Logouts recognised."),
    Family("logins_total", "counter", ("format",), "Logins recognised."),
    Family("login_outcomes_total", "counter", ("outcome",), "What became of the logins; adds up to logins_total."),
    Family("refused_total", "counter", ("guard",), "Logins that a guard refused; adds up to the outcome refused."),
    Family("log_missed_total", "counter", ("log", "reason"), "Lines that look like a login and that no pattern took."),
    Family("log_faults_total", "counter", ("log", "kind"), "Rotations, restarts, lost lines, refused entries."),
    Family("log_present", "gauge", ("log",), "1 while the log is there and can be read."),
    Family("log_behind_bytes", "gauge", ("log",), "Bytes not read yet; absent for what has no length (journal, FIFO)."),
    Family("log_last_line_timestamp_seconds", "gauge", ("log",), "When a line last came; 0: none since the start."),
    Family("log_last_login_timestamp_seconds", "gauge", ("log",), "Timestamp of the latest login; 0: none so far."),
    Family("drift", "gauge", ("log",), "1 while logins of the log are no longer recognised as usual."),
    Family("rows", "gauge", ("origin",), "Addresses that may relay."),
    Family("rows_limit", "gauge", (), "The limit of rows, guards.max_rows."),
    Family("denials", "gauge", (), "Denials in force, manual ones and those of the deny list."),
    Family("sessions_open", "gauge", (), "Open sessions; 0 where sessions are not counted."),
    Family("rows_expired_total", "counter", (), "Rows that ended."),
    Family("rows_revoked_total", "counter", ("cause",), "Rows removed early."),
    Family("table_up", "gauge", ("table",), "1 if the last attempt to write or check the table succeeded."),
    Family("table_waiting_rows", "gauge", ("table",), "Changes that are not written yet."),
    Family("table_last_write_timestamp_seconds", "gauge", ("table",), "When changes were last written; 0: not yet."),
    Family("table_writes_total", "counter", ("table",), "Changes written, each in one piece."),
    Family("table_write_errors_total", "counter", ("table",), "Attempts that failed, a lock of the MTA included."),
    Family("table_refused_keys_total", "counter", ("table",), "Keys that were not one canonical address; always 0."),
    Family(
        "table_write_seconds", "histogram", ("table",), "How long writing a change took, failures too.", WRITE_BOUNDS
    ),
    Family(
        "lookups_total", "counter", ("table", "answer"), "Look-ups of tables that we answer: socketmap and policy."
    ),
    Family(
        "lookup_seconds", "histogram", ("table",), "How long finding an answer took, without the socket.", LOOKUP_BOUNDS
    ),
    Family("lookup_clients", "gauge", ("table",), "Connections of the MTA that are open now."),
    Family("relayed_messages_total", "counter", (), "Messages accepted by a row, as the policy service saw them."),
    Family("relayed_recipients_total", "counter", (), "Recipients accepted by a row, as the policy service saw them."),
    Family("cap_exceeded_total", "counter", ("cap",), "Recipients over a cap: refused, held, or only warned of."),
    Family("cap_over", "gauge", ("cap",), "Logins, or addresses, that are at the cap now."),
    Family("cap_highest_ratio", "gauge", ("cap",), "The highest use of the cap by one login or address; 1 is all."),
    Family("hub_up", "gauge", ("hub",), "1 while the hub takes and gives messages."),
    Family("hub_delay_seconds", "gauge", ("hub",), "Round trip to the hub; absent before the first."),
    Family("hub_clock_offset_seconds", "gauge", ("hub",), "The hub's clock less ours; absent before it is known."),
    Family("hub_waiting_rows", "gauge", ("hub",), "Rows that are owed to the hub."),
    Family("hub_reconnects_total", "counter", ("hub",), "Connections that were lost or refused."),
    Family("hub_rows_sent_total", "counter", ("hub",), "Rows written to our stream, renewals too."),
    Family("hub_full_sends_total", "counter", ("hub", "cause"), "Times that all our rows were sent."),
    Family("hub_full_reads_total", "counter", ("hub", "cause"), "Streams that were read from their horizon."),
    Family("hub_messages_refused_total", "counter", ("hub", "reason"), "Messages that were not accepted."),
    Family("node_up", "gauge", ("node",), "1 while another node is heard."),
    Family("node_last_beat_timestamp_seconds", "gauge", ("node",), "When the node was last heard; 0: never."),
    Family("node_rows", "gauge", ("node",), "Rows that we have from the node."),
    Family("node_rows_received_total", "counter", ("node",), "Rows received from the node, renewals too."),
    Family("node_gaps_total", "counter", ("node",), "Times that messages of the node were missing."),
    Family(
        "share_delay_seconds", "histogram", (), "From sending a row at its node to its grant here.", SHARE_BOUNDS
    ),
    Family("control_requests_total", "counter", ("do", "outcome"), "Requests on the control sockets."),
    Family("watchers", "gauge", (), "Connections that watch events."),
    Family("watch_events_lost_total", "counter", (), "Events that watchers were too slow for."),
)  # fmt: skip
#: By name without PREFIX, in the order in which they are shown.
FAMILIES = MappingProxyType({family.name: family for family in _ALL})

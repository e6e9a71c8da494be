"""What the manual pages say that comes from no option, key or table type: make_man.py puts it into them."""

from __future__ import annotations

#: Path -> what it is.
FILES = (
    ("/etc/pbs-fast/pbs-fast.toml", "the configuration, pbs-fast.toml(5)"),
    ("/etc/pbs-fast/deny.toml", "addresses, networks and users that get no grant; reloaded on SIGHUP"),
    ("/var/lib/pbs-fast/relay.*", "the table, if no other is configured"),
    ("/var/lib/pbs-fast/manual.json", "manual grants and denials, which survive a restart"),
    ("/var/lib/pbs-fast/caps.json", "what caps have counted"),
    ("/run/pbs-fast/status, /run/pbs-fast/control", "the running daemon's sockets, for questions and for changes"),
)
EXIT = (
    ("0", "success"),
    (
        "1",
        "a run failed: a log or a table cannot be read or written; a line on standard error says which. status and the"
        " commands that ask the daemon: it does not run, or may not be asked. doctor: it found a failure",
    ),
    ("2", "bad use: an option, a key or a format that does not exist"),
    (
        "3",
        "status: the daemon runs with a fault. why: the address may not relay. doctor: it found a warning, and no"
        " failure. match: few or no lines are understood, or --missed found lines that look like a login but match no"
        " pattern. report: there is no login. import-config: something was left out"
        " that decides about grants, tables, logs or networks; with --check, one of the two programs grants addresses"
        " that the other does not",
    ),
    (
        "4",
        "status: the daemon hangs",
    ),
)
#: Page -> what to type, and what it does.
EXAMPLES = {
    "pbs-fast.8": (
        ("pbs-fast doctor", "Check everything between a login and a relayed message; as root."),
        ("pbs-fast status", "Is the daemon well? The exit status tells a monitoring system the same."),
        ("pbs-fast why 203.0.113.5", "May this address relay, until when, and by which login; or why not."),
        ("pbs-fast why anna@example.org", "The addresses from which this user may relay."),
        (
            "pbs-fast revoke mallory@example.org --for=24h --reason='stolen password'",
            "Stop a user at once, and make no new grant for a day.",
        ),
        ("pbs-fast queue mallory@example.org | postsuper -h -", "Hold what this user has in Postfix's queue."),
        ("pbs-fast grant 203.0.113.9 --for=2h --reason='scanner'", "Let a device without a login relay for two hours."),
        ("pbs-fast list --sort=until", "All addresses that may relay, those that end first at the top."),
        ("pbs-fast metrics | grep -v '^#'", "All numbers that Prometheus would get."),
        ("pbs-fast watch --alarms --run=/usr/local/sbin/alarm", "Run a program for each event that is not in order."),
        (
            "pbs-fast match --follow --missed /var/log/mail.log",
            "Show logins as they are logged, and lines that are missed.",
        ),
        ("pbs-fast match journal:", "The logins in systemd's journal."),
        (
            "pbs-fast report --since=30d --caps /var/log/mail.log*",
            "Who still relies on POP-before-SMTP, and what caps would have refused in the last 30 days.",
        ),
        ("pbs-fast config", "The configuration in force, and where each value comes from."),
        ("pbs-fast reload", "Apply changed mynetworks, guards, caps, deny list and share.from."),
        ("pbs-fast clear hash:/var/lib/pbs-fast/relay", "Empty a table that the daemon no longer writes."),
        ("pbs-fast share forget pop2", "Drop a node that is gone for good, on one of the nodes that share grants."),
        (
            "pbs-fast import-config --check /var/log/mail.log /etc/pop-before-smtp/pop-before-smtp.conf",
            "The lines of a log that only one of the old and the converted configuration grants.",
        ),
        ("pbs-fast bench --core=both /var/log/mail.log*", "How fast this machine reads its own logs."),
        ("pbs-fast run --watchlog=/var/log/mail.log --grace=30m --debug --nowrite", "Try it, and change nothing."),
    ),
    "pop-before-smtp.8": (
        (
            "pop-before-smtp --config=/etc/pop-before-smtp/pop-before-smtp.conf --debug",
            "Run with the old configuration.",
        ),
        ("pop-before-smtp --list", "The addresses in the table."),
        ("pop-before-smtp --dumpconfig", "The configuration in force."),
    ),
    "pbs-fast.toml.5": (
        (
            'watchlog = ["/var/log/mail.log", "journal:unit=dovecot.service"]\n'
            'dbfile = "lmdb:/var/lib/pbs-fast/relay"\ngrace = "30m"\n\n[guards]\nproxies = ["192.0.2.7"]',
            "A log file and the journal, one table, half an hour; a web mail host gets no grant.",
        ),
        (
            'watchlog = "/var/log/other.log"\ndbfile = "lmdb:/var/lib/pbs-other/relay"\n'
            'state_directory = "/var/lib/pbs-other"\n\n[control]\ndirectory = "/run/pbs-other"',
            "A second daemon on the same machine, with a state and sockets of its own.",
        ),
    ),
}
SIGNALS = (
    (
        "SIGHUP",
        "reopen the daemon's own log; reload mynetworks, the guards, the caps, the deny list and share.from. Rotating a"
        " log that the daemon follows needs no signal.",
    ),
    ("SIGUSR1", "log the number of rows and all counters so far, in one info line."),
    ("SIGTERM, SIGINT", "stop. The rows stay, so that a restart locks no one out."),
)
#: Key of a [[format]] -> what it is; all that the loader knows, which `_own_formats` checks.
FORMAT = {
    "name": "the format's name: a-z, 0-9 and -; it must not be in the catalogue",
    "title": "for display: the server",
    "versions": "for display: the versions that the patterns cover",
    "program": "syslog tags of the server's lines",
    "tls_program": "further tags, whose logins are over TLS",
    "success": "texts that mark a message as a login; match --missed shows it if no pattern matches",
    "login": "patterns of a whole message that is a login; each has {ip}",
    "logout": "patterns of the end of a login's session",
    "line_login": "patterns searched in whole lines, including timestamp and host, like $pat of the Perl program;"
    " [LOGTIME] means the timestamp",
    "line_logout": "the same for the end of a session, like $out_pat",
    "session": "a table of lists of patterns, for a login of several lines joined by their process: address, success,"
    " failure, end",
    "raw_names": "the tags under which it logs user names unescaped, including line feeds",
    "restart": "patterns of lines that report a start or stop of the server, which ends all its sessions",
    "killed": "the same for the end of a process, {pid} or that of the line, which ends its sessions",
    "aborted": "the same for a login of {user} that failed afterwards",
    "counted": "false if its session ends are not always logged, so that count_sessions ignores it",
    "cut": "length in bytes from which a record counts as cut by its writer; 700 for any writer",
    "cut_rest": "length from which the record after a cut one may be its rest; by default cut",
    "cut_prefix": "texts that the writer repeats before each part of a record; cut then applies to messages that start"
    " with one",
    "cut_whole": "lengths, alternately, from which and up to which a message is a whole part; for a minute after one"
    " the writer's records grant nothing",
    "marked": "numbers of the login patterns that the end of a refused login cannot match",
    "unmarked": "numbers of those that it may match: refused after the server has written a marked one",
    "own_log": "a table, if the server writes its own log: prefix (text that may precede the timestamp), probe (a"
    " pattern that matches the start of the messages)",
    "sample": "tables [[format.sample]] with kind, message and expected result; checked at each start",
}
PLACEHOLDERS = (
    "Patterns are ASCII, without look-around and back references. Placeholders: {ip} is the client's"
    " address, {lip} the server's, {user} a name without blanks, {user:CHARS} one that ends before any of CHARS,"
    " {session:CHARS} and {text:CHARS} likewise, {number} digits, {rest} anything up to the end. Test them with:"
    " pbs-fast match --config=FILE LOG"
)
EXAMPLE = """\
[[format]]
name = "mypop"
program = ["mypop"]
success = ["logged in"]
login = ['user {user} logged in from {ip}']
"""
IMPORTED = (
    "Functions of the old configuration are recognised by name (tie_DB, tie_CDB, getline_stdin, syslog and so on) and"
    " become tables, sources or the log. A pattern that matches the lines of a format in the catalogue is dropped,"
    " because all formats are enabled; if only its tag differs, the tag is added; any other pattern becomes a"
    " [[format]], and so does each pattern of custom_match. A comment on each line of the result shows the old"
    " setting.\n\n"
    "A note on standard error reports, with its line, each setting without a counterpart: custom code, a pattern that"
    " no backend can run, a map among the networks, NDBM; and for known patterns, lines that they would have matched"
    " but that are refused on purpose. --check shows what this means for a real log."
)
AUTHORS = (
    "pbs-fast is by its developers. It succeeds the Perl daemon pop-before-smtp, created by Bennett Todd and long"
    " maintained by Wayne Davison."
)


#: The nested tables of the configuration: what each is about.
NESTED = {
    "control": "the sockets of the running daemon.",
    "metrics": "numbers for Prometheus. A change needs a restart.",
    "share": "grants shared with other nodes over Valkey or Redis. A change needs a restart, except of from.",
    "guards": "which grants are refused.",
    "caps": "how much a login and an address may send through a table policy:. Tables [[caps.except]] give some logins"
    " or networks caps of their own.",
    "json": "where a record of JSON lines has what a line is made of, if it has an unusual shape.",
}
#: What a source of --watchlog can be: a form -> what it reads.
SOURCES = {
    "PATH": "a file, followed through rotation; a named pipe. Rotated and compressed files next to it are read at the"
    " start as far as needed",
    "PATTERN": "a path with * ? or [...]: all files that match, also those that come later",
    "-": "standard input, until it ends; not with --daemon",
    "journal:[KEY=VALUE,...]": "systemd's journal: entries whose trusted fields show that a mail server wrote them",
    "none:": "no log: a node that only receives the grants of others ([share]); alone, without any other log",
}
JOURNAL = {
    "unit": "units whose entries are accepted, besides those of known mail servers",
    "uid": "accounts that may write them; any for all",
    "container": "containers of Docker or Podman that are accepted, by name",
    "machine": "machine ids that are accepted; by default this machine",
    "directory": "read the journal in this directory (an absolute path) instead of this machine's",
    "file": "read this journal file",
}
LOGS = (
    "--watchlog (key watchlog) has one of the forms below, and may be given more than once. Without any, the first of"
    " /var/log/mail.log, /var/log/maillog, /var/log/mail/info and /var/log/messages that exists is followed, else"
    " journal:. match takes the same forms as arguments."
)

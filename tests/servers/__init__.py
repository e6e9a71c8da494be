"""Real POP and IMAP servers, one stage each: what `pbs-fast match` says of their own syslog lines, held against what
their clients did.

`stage.py` is a server's surroundings (network, files, accounts, /dev/log), `clients.py` what clients do and tell of it,
`held.py` the comparison. Each `test_*.py` configures and starts one server. Installed by
scripts/install-test-servers.sh; without them the tests are skipped, and fail under CI.
"""

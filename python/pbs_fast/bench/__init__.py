"""The replay: whole logs through the whole pipeline, as fast as this machine can, with counts that can be checked.

`feed` reads and scans (several threads, results in order), `replay` folds, asks the ledger and writes the table,
`report` shows what came out. Nothing outside imports this package but its command.
"""

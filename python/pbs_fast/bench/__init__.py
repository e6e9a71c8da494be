"""The benchmark: whole logs through the whole pipeline as fast as possible, with counts that can be checked.

`feed` reads and scans (several threads, results in order), `replay` folds, updates the ledger and writes the table,
`report` shows the results.
"""

"""Does Postfix ask our table? Its settings by `postconf`, which only prints, and what they mean for a client.

`installation` reads, `restrictions` and `wiring` are pure.
"""

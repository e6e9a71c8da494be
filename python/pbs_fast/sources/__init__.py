"""Where log lines come from: whole files, plain or compressed, pipes and standard input; files that grow.

Sources know bytes and newlines. They know no formats, no addresses, no tables, and no other part of the package but
errors.
"""

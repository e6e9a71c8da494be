"""Where log lines come from: files (plain, compressed, growing), FIFOs, standard input, the journal.

Sources know bytes and newlines, but neither formats nor addresses nor tables.
"""

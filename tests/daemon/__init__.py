"""Black-box tests of the daemon: the real `pbs-fast run`, judged by its table, MTAs' replies, its status and log."""

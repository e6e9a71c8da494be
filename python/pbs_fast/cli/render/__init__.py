"""Replies of the daemon, and what the logs say, as text for people. Pure: no clock, no terminal, no socket."""

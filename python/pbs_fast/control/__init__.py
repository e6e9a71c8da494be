"""Talking to a running daemon over its two sockets (docs/CONTROL.md)."""

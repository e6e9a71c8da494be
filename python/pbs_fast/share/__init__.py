"""Grants shared with other nodes over Valkey or Redis: what is sent, what is accepted, and the hubs (docs/SHARING.md)."""

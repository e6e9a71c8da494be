"""Grants shared between hosts over independent hubs (Valkey or Redis): one signed stream per node."""

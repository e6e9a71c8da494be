"""Warnings about logs and limits that the administrator must act on."""

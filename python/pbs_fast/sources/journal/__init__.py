"""Following systemd's journal."""

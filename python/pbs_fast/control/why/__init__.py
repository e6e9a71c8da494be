"""What the logs say of an address or a login: the very lines, found again. Works without the daemon, reads only."""

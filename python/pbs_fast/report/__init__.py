"""Who still relays by POP-before-SMTP, and what would happen without it: `pbs-fast report`."""

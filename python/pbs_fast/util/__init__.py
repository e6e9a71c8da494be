"""Small helpers that any room may use: addresses, accounts, text, TOML positions, Postfix settings."""

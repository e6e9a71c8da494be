"""What the tables that the daemon answers itself have in common: where they listen, their rows, their life."""

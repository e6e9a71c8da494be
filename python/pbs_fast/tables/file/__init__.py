"""What the tables that are files share."""

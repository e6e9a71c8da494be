"""The table that Postfix asks for each recipient, over its policy protocol: it decides, and it counts."""

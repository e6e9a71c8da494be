"""Live figures: the real daemon follows a log that others write into, a real Postfix reads its table."""

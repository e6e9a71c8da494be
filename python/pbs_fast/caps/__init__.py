"""Caps: how many recipients or messages a login or an address may send in a time."""

"""Figures of shared grants: real daemons, real hubs, a real Postfix at the end."""

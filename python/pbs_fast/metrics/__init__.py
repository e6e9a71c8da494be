"""Numbers of the running daemon for Prometheus: what there is, one moment of it, and the ways out."""

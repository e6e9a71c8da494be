"""A log replayed by its own timestamps, for `bench` and `run --reprocess`."""

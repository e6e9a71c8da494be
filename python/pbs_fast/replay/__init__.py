"""A log replayed by its own timestamps, for `bench`, `report` and `run --reprocess`."""

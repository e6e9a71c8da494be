"""A log replayed by its own timestamps: what `bench` and `run --reprocess` stand on."""

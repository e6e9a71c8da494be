"""What benches/run.py measures: a module for each question; `page` makes RESULTS.md of their figures."""

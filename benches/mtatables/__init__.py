"""What benches/tables.py measures: a module for each question; `record` makes a page of their figures."""

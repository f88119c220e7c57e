"""Benchmarks against the field: measured and printed, never asserted. `make bench` runs `python -m benches`."""

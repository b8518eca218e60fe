"""Benchmarks. Each prints what it ran on and compares within one run; `--json` prints one object."""

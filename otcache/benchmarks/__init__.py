"""Benchmarks of a cache: what an operation takes here, kept with the machine's facts so that it can be compared."""

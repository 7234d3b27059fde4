"""Measurements: every case in one process, interleaved in shuffled rounds, reported as ratios."""

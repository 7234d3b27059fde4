"""The statistics behind a verdict: shifts, change points, blocks, histograms."""

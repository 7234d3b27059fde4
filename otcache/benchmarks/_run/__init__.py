"""How a benchmark is run: workloads, measurement, progress, the facts of the machine."""

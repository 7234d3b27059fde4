"""The critical values of `otcache.regression._statistics.change_points`, from shuffled series.

`python -m benchmarks.changepoint_table [--shuffles N]` prints the table; as shipped it takes some minutes.
"""

from __future__ import annotations

import argparse
import random

from otcache.regression._statistics.change_points import strongest_split

LENGTHS = (14, 15, 16, 18, 20, 25, 30, 40, 60, 90, 140, 250, 500, 1000)
"""Up to 13 values even a perfect step has a probability above `ALPHA`."""
ALPHA = 0.001


def critical(length: int, shuffles: int, seed: int) -> float:
    """The smallest strength that at most one of a thousand shuffled series of this length reaches."""
    draw = random.Random(seed)
    order = [float(place) for place in range(length)]
    maxima = []
    for _ in range(shuffles):
        draw.shuffle(order)
        maxima.append(round(strongest_split(order)[1], 6))
    maxima.sort()
    last_common = maxima[-1 - int(ALPHA * shuffles)]
    return min((value for value in maxima if value > last_common), default=float("inf"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.changepoint_table", description=__doc__)
    parser.add_argument("--shuffles", type=int, default=100_000, help="shuffled series per length (default 100000)")
    shuffles = parser.parse_args().shuffles
    for length in LENGTHS:
        # rounded down: a strength that equals the value must reach it
        print(f"    ({length}, {critical(length, shuffles, seed=length) - 5e-4:.3f}),", flush=True)


if __name__ == "__main__":
    main()

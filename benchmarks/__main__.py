"""`python -m benchmarks [--rounds N]`: print the tables of `make bench`."""

from __future__ import annotations

import argparse
import asyncio

from benchmarks import overhead, sizes


async def _run(rounds: int) -> None:
    for part in (overhead, sizes):
        print(await part.run(rounds), flush=True)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="interleaved rounds per table (default 31)")
    asyncio.run(_run(parser.parse_args().rounds))


if __name__ == "__main__":
    main()

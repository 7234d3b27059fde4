"""`python -m benchmarks [quick|full]`: measure otcache beside bare structures and other caches, print the tables."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from benchmarks import catalogue, plot, report, server
from benchmarks.gate import failures
from benchmarks.results import BASELINE, Results
from benchmarks.setting import Setting

_LARGE = {"quick": 100_000, "full": 1_000_000}


async def _run(options: argparse.Namespace) -> int:
    names = options.only or (catalogue.quick() if options.what == "quick" else catalogue.NAMES)
    async with server.redis() as port:
        setting = Setting(port, large=_LARGE[options.what])
        try:
            results = await catalogue.run(names, setting, options.rounds, full=options.what == "full")
            failed = await failures(results, setting) if options.gate else []
        finally:
            setting.close()
    _write(results, options)
    print(report.whole(results))
    for line in failed:
        print(f"beyond its gate, twice: {line}")
    return 1 if failed else 0


def _write(results: Results, options: argparse.Namespace) -> None:
    if options.save is not None:
        results.save(options.save)
    if options.baseline:
        results.save(BASELINE)
        plot.PICTURE.write_text(plot.svg(Results.load(BASELINE)))  # with the digits that the file has


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=tuple(_LARGE), default="quick", help="which rows (default quick)")
    parser.add_argument("--rounds", type=int, default=31, help="interleaved rounds per group (default 31)")
    parser.add_argument("--only", action="append", choices=catalogue.NAMES, help="only this group; may be repeated")
    parser.add_argument("--save", type=Path, help="write every round to this file")
    parser.add_argument("--gate", action="store_true", help="fail if a ratio is beyond its gate, twice")
    parser.add_argument("--baseline", action="store_true", help="let docs/performance.md show this run")
    return parser


def main() -> int:
    """Read the arguments and measure."""
    return asyncio.run(_run(_parser().parse_args()))


if __name__ == "__main__":
    sys.exit(main())

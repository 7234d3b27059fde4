"""`otcache bench`: each operation in fresh processes, a table of what they found, and a file to compare with."""

from __future__ import annotations

import argparse
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from otcache import telemetry
from otcache.benchmarks._run.metrics import emit
from otcache.benchmarks._run.processes import run_in_processes
from otcache.benchmarks._run.progress import bar
from otcache.benchmarks._run.worker import cache_config
from otcache.benchmarks.config import OPERATIONS, BenchmarkConfig, ConfigPresets, check_operations
from otcache.benchmarks.models import BenchmarkResult, BenchmarkSuite
from otcache.cli._output import refuse, say
from otcache.config.sources import require_valid
from otcache.config.url import mask_url
from otcache.exceptions import CacheError, ConfigurationError, ValidationError
from otcache.stores.registry import check_url

FAILED: Final = 1
USAGE: Final = 2
"""Exit statuses; 0 is success."""
PRESETS: Final = {
    "quick": ConfigPresets.quick,
    "standard": ConfigPresets.standard,
    "comprehensive": ConfigPresets.comprehensive,
}
_COLUMNS: Final = ("operation", "count", "mean", "p95", "p99", "per second", "hit rate", "peak memory", "errors")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--preset", choices=PRESETS, default="standard", help="values for the options you omit (default: standard)"
    )
    parser.add_argument("--operations", metavar="LIST", help=f"some of {','.join(OPERATIONS)}")
    parser.add_argument("--iterations", type=int, metavar="N", help="operations per process")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="fresh processes per operation (a comparison needs 6)"
    )
    parser.add_argument("--data-size", type=int, metavar="B", help="bytes of a value")
    parser.add_argument("--redis-url", metavar="URL", help="measure Redis, without L1 (default: memory)")
    parser.add_argument("--save", metavar="FILE", help="write the results as JSON")
    parser.add_argument("--json", action="store_true", help="print the same JSON instead of a table")
    parser.add_argument("--no-progress", action="store_true", help="no progress line on a terminal")


def run(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    try:
        config = _config(arguments)
        _check_place(arguments.redis_url)
        _check_file(arguments.save)
    except (ValidationError, ConfigurationError) as exc:
        return refuse(exc, USAGE)
    try:
        with ended_by_signals():
            suite = _measured(config, arguments.redis_url)
        _show(suite, config, arguments)
        if arguments.save is not None:
            suite.save(arguments.save)
        _export(suite)
    except CacheError as exc:
        return refuse(exc, FAILED)
    return 0


def _export(suite: BenchmarkSuite) -> None:
    """Send the results where the standard variables say, if they say something."""
    if any(name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") for name in os.environ):
        handle = telemetry.setup("otcache-bench", configure_logging=False)
        emit(suite.results)
        handle.shutdown()


def _config(arguments: argparse.Namespace) -> BenchmarkConfig:
    names = ("iterations", "processes", "data_size")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if arguments.operations is not None:
        given["operations"] = check_operations(name.strip() for name in arguments.operations.split(","))
    return replace(PRESETS[arguments.preset](), progress=not arguments.no_progress, **given)


def _check_place(redis_url: str | None) -> None:
    require_valid(cache_config(redis_url))
    if redis_url is not None:
        check_url(redis_url)


def _check_file(path: str | None) -> None:
    """Refuse a file that can't be written before minutes are spent on what should be in it."""
    if path is None:
        return
    file = Path(path)
    if file.is_dir() or not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        raise ConfigurationError(f"--save {path}: not a file that can be written")


def _measured(config: BenchmarkConfig, redis_url: str | None) -> BenchmarkSuite:
    operations = config.operations or OPERATIONS
    with bar("benchmarks", config.processes * len(operations), "processes", wanted=config.progress) as step:
        # the workers' own lines would be written over this one
        return run_in_processes(operations, replace(config, progress=False), redis_url, step)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end it as Ctrl-C does: with the workers."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _show(suite: BenchmarkSuite, config: BenchmarkConfig, arguments: argparse.Namespace) -> None:
    if arguments.json:
        say(json.dumps(suite.to_dict(), indent=2))
        return
    where = "memory" if arguments.redis_url is None else mask_url(arguments.redis_url)
    title = f"{where}, values of {config.data_size} B, {config.processes} processes per operation"
    rows = [_row(result) for result in suite.results]
    say("\n".join(_text(title, rows)))


def _row(result: BenchmarkResult) -> tuple[str, ...]:
    rate = result.cache_hit_rate
    return (
        result.operation, str(result.iterations), _time(result.avg_duration_ms), _time(result.p95_duration_ms),
        _time(result.p99_duration_ms), f"{result.operations_per_second:,.0f}", "-" if rate is None else f"{rate:.1%}",
        f"{result.memory_peak_mb:.2f} MB", str(result.error_count),
    )  # fmt: skip


def _time(ms: float) -> str:
    return f"{ms:.3f} ms" if ms >= 1 else f"{ms * 1000:.2f} µs"


def _text(title: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in (_COLUMNS, *rows)) for at in range(len(_COLUMNS))]
    yield title
    for first, *others in (_COLUMNS, *rows):
        cells = [each.rjust(width) for each, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells])

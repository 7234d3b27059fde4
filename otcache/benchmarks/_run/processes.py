"""Benchmarks in fresh processes: what one process measures depends on where its memory happens to lie."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from otcache.benchmarks._run import worker
from otcache.benchmarks._run.measurement import Measurement
from otcache.benchmarks._run.summary import summarised
from otcache.benchmarks.config import BenchmarkConfig
from otcache.benchmarks.models import BenchmarkSuite
from otcache.exceptions import InfrastructureError

_PACKAGES: Final = str(Path(__file__).parents[3])
_STARTING_SECONDS: Final = 60.0
_ENDING_SECONDS: Final = 10.0


def run_in_processes(
    operations: tuple[str, ...], config: BenchmarkConfig, redis_url: str | None, step: Callable[[], None]
) -> BenchmarkSuite:
    """Measure each operation in `config.processes` processes of its own; one result per operation.

    The operations take turns, so that a machine that slows down does so for all of them. Without a `redis_url` it is
    in memory; `step` is called after each process.

    Raises:
        InfrastructureError: A process failed, or did not end in time.
    """
    measured: dict[str, list[Measurement]] = {operation: [] for operation in operations}
    for _ in range(config.processes):
        for operation in operations:
            measured[operation].append(_run(operation, config, redis_url))
            step()
    return BenchmarkSuite([summarised(each, config) for each in measured.values()])


def _run(operation: str, config: BenchmarkConfig, redis_url: str | None) -> Measurement:
    process = subprocess.Popen(  # noqa: S603  this interpreter
        [sys.executable, "-m", worker.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (_PACKAGES, os.environ.get("PYTHONPATH"))))},
        start_new_session=True,  # a Ctrl-C reaches this process alone, which passes it on once
    )
    try:
        output, errors = process.communicate(
            worker.job(operation, config, redis_url), timeout=config.timeout + _STARTING_SECONDS
        )
    except subprocess.TimeoutExpired as exc:
        raise InfrastructureError(f"the process that measures {operation} did not end within its time") from exc
    finally:
        _end(process)
    if process.returncode:
        raise InfrastructureError(_said(errors) or f"the process that measures {operation} ended itself")
    return worker.reported(output)


def _said(errors: str) -> str:
    """The last line: the message, without the traceback before it."""
    lines = errors.strip().splitlines()
    return lines[-1] if lines else ""


def _end(process: subprocess.Popen[str]) -> None:
    """End a worker that still runs, after it had time to remove its keys."""
    try:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=_ENDING_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()

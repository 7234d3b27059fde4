"""A crowd that comes for one cold key, in all processes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import httpx

from otcache._demo.traces import Trace, fetch, new_trace

CALLERS: Final = 120
_HEAD_START: Final = 0.1
"""Seconds by which the first comes before the crowd: so it is known which trace is the leader's."""


@dataclass(frozen=True, slots=True)
class Stampede:
    """What became of it.

    Attributes:
        callers: How many requests.
        processes: Of how many processes.
        loads: How often the report was made, as the database has counted it.
        waited: How many say that they have waited for another's load.
        slowest: Seconds that the last of them took.
        traces: Of the first caller, and of one more in each process: they waited.
    """

    callers: int
    processes: int
    loads: int
    waited: int
    slowest: float
    traces: tuple[Trace, ...]


async def stampede(clients: Sequence[httpx.AsyncClient], number: int) -> Stampede:
    """Request a new report from many callers at once.

    Args:
        clients: One per process.
        number: Of the report.
    """
    path, traced = f"/reports/{number}", [new_trace() for _ in range(len(clients) + 1)]
    askers = [clients[0], *clients, *(clients[at % len(clients)] for at in range(CALLERS - len(traced)))]
    headers = [{"traceparent": header} for _, header in traced] + [{}] * (CALLERS - len(traced))
    began = perf_counter()
    first = asyncio.create_task(_ask(askers[0], path, headers[0]))
    await asyncio.sleep(_HEAD_START)
    crowd = [_ask(http, path, header) for http, header in zip(askers[1:], headers[1:], strict=True)]
    answers = await asyncio.gather(first, *crowd)
    slowest = perf_counter() - began
    traces = [await fetch(http, id_) for http, (id_, _) in zip(askers, traced, strict=False)]
    loads = max(answer.json()["run"] for answer in answers)
    waited = sum("; collapsed" in answer.headers["cache-status"] for answer in answers)
    return Stampede(len(answers), len(clients), loads, waited, slowest, tuple(traces))


async def _ask(http: httpx.AsyncClient, path: str, headers: dict[str, str]) -> httpx.Response:
    return (await http.get(path, headers=headers)).raise_for_status()

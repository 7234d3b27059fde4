"""A crowd that comes for one cold key, in all processes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Final, NamedTuple

import httpx

from otcache._demo.traces import fetch, new_trace

CALLERS: Final = 120
_PATH: Final = "/reports/1"
_SAMPLED: Final = {"traceparent": f"00-{1:032x}-{1:016x}-01"}  # whoever leads, a link can lead to it
_HEAD_START: Final = 0.3
"""Seconds by which the first comes before the crowd: so it is known which trace is the leader's."""


class Stampede(NamedTuple):
    """What became of it: how often the report was made, who waited for another's load, and for how many seconds."""

    loads: int
    waited: int
    slowest: float
    traces: tuple[str, ...]
    """The trees of the first caller and of one who came later: that one waited."""


async def stampede(clients: Sequence[httpx.AsyncClient]) -> Stampede:
    """Request a report that nobody has requested yet from many callers at once; a client per process."""
    traced = [new_trace(), new_trace()]
    headers = [{"traceparent": header} for _, header in traced] + [_SAMPLED] * (CALLERS - len(traced))
    askers = [clients[at % len(clients)] for at in range(CALLERS - 1)]
    began = perf_counter()
    first = asyncio.create_task(clients[0].get(_PATH, headers=headers[0]))
    await asyncio.sleep(_HEAD_START)
    crowd = (http.get(_PATH, headers=each) for http, each in zip(askers, headers[1:], strict=True))
    answers = await asyncio.gather(first, *crowd)
    slowest = perf_counter() - began
    loads = max(answer.raise_for_status().json()["run"] for answer in answers)
    waited = sum("; collapsed" in answer.headers["cache-status"] for answer in answers)
    return Stampede(loads, waited, slowest, tuple([await fetch(clients[0], trace_id) for trace_id, _ in traced]))

"""An application answers with the cache as it does without: to three users in turn, and to all of them at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.http.differential.applications import Application
from tests.http.differential.parts import AMBIENT, Dice
from tests.http.differential.requests import USERS, Draft

_OURS = ("cache-control", "age", "etag", "vary", "cache-status", "server-timing", "date", "content-length")


async def _differences(seed: int, told: Counter[str]) -> list[str]:
    """Ask both twins the same, ten times."""
    cached, plain = Application(seed, cached=True), Application(seed, cached=False)
    rng, differences = Dice(seed), []
    async with _client(cached) as one, _client(plain) as other:
        for turn in range(3):
            drafts = [cached.request(rng, user) for user in USERS]
            # the first request once more: by then its answer may be stored
            drafts.append(drafts[0])
            at_once = turn == 1
            got = await _answers(one, drafts, at_once=at_once)
            wanted = await _answers(other, drafts, at_once=False)
            told.update(map(_said, got))
            differences += [
                f"seed {seed}, turn {turn}: {draft}\n  cached {_seen(mine)}\n  plain  {_seen(right)}"
                for draft, mine, right in zip(drafts, got, wanted, strict=True)
                if _seen(mine) != _seen(right)
            ]
            cached.change()
            plain.change()
    return differences


@asynccontextmanager
async def _client(twin: Application) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(twin.app, raise_app_exceptions=False)
    async with twin.app.router.lifespan_context(twin.app), httpx.AsyncClient(transport=transport) as client:
        yield client


async def _answers(client: httpx.AsyncClient, drafts: list[Draft], *, at_once: bool) -> list[httpx.Response]:
    async def ask(draft: Draft) -> httpx.Response:
        AMBIENT.set("nobody")
        client.cookies.clear()
        answer: httpx.Response = await draft.send_by(client)
        return answer

    if at_once:
        return list(await asyncio.gather(*map(ask, drafts)))
    return [await asyncio.create_task(ask(draft)) for draft in drafts]


def _seen(answer: httpx.Response) -> Any:
    # a HEAD that is answered from the cache has no body that could be encoded (RFC 9110, 9.3.2, allows that)
    left_out = (*_OURS, "content-encoding") if answer.request.method == "HEAD" else _OURS
    headers = [(name, value) for name, value in answer.headers.multi_items() if name not in left_out]
    return answer.status_code, answer.content, sorted(headers)


def _said(answer: httpx.Response) -> str:
    """Return what the cache says that it did."""
    status = answer.headers.get("cache-status", "no cache")
    return "hit" if "; hit" in status else status.partition("detail=")[2] or status.partition("; ")[2] or status


async def _check(seeds: range) -> Counter[str]:
    told: Counter[str] = Counter()
    wrong = [difference for seed in seeds for difference in await _differences(seed, told)]
    assert not wrong, f"{len(wrong)} answers differ, {dict(told)}:\n" + "\n".join(wrong[:5])
    return told


async def test_the_cache_changes_no_answer() -> None:
    told = await _check(range(40))

    assert told["hit"] > told.total() / 20  # a cache that always passes by would be right, too


@pytest.mark.long
@pytest.mark.parametrize("first", range(1000, 3000, 250))
async def test_the_cache_changes_no_answer_of_2000_applications(first: int) -> None:
    told = await _check(range(first, first + 250))

    print(f"{told.total()} requests: {told.most_common()}")  # noqa: T201  what passed by, and why
    assert told.total() >= 2_500
    assert told["hit"] > told.total() / 20
    assert told["hit"] > told.total() / 20

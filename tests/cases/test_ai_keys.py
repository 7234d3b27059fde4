"""A response of one model is never given as another's."""

from __future__ import annotations

import inspect
from typing import Any

from otcache import AIMemoryCache


# deeppavlov/AutoIntent #336, AgentOptimizer/agentopt #95
async def test_a_response_belongs_to_its_model() -> None:
    async with AIMemoryCache() as cache:
        for model in ("large", "small"):
            await cache.cache_response("text", "summarize", {}, {"by": model}, model=model)
        by_model = "model" in inspect.signature(cache.get_cached_response).parameters
        asked: dict[str, Any] = {"model": "large"} if by_model else {}

        found = await cache.get_cached_response("text", "summarize", {}, **asked)

    assert found == ({"by": "large"} if by_model else None)

"""Tokens, dollars and seconds of AI responses: spent when they are kept, saved when they are found."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from otcache import AICacheConfig, AIMemoryCache, AIResponseCache, CacheConfig, ValidationError
from otcache._serialization.serializer import Facts
from otcache.ai import KEY_TEMPLATE
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.inside import forget

TEXT = "x" * 400
USAGE = {"input": 812, "output": 96}
PRICES = {"small-model:input": 2.5, "small-model:output": 10.0, "output": 1.0}


@pytest.fixture
async def answers(telemetry: Capture, redis_server: Any, prefix: str) -> AsyncIterator[AIResponseCache]:
    """An AI cache with prices, on a Redis."""
    config = CacheConfig(redis_url=redis_server.url, ai_config=AICacheConfig(token_prices=PRICES))
    options: dict[str, Any] = {"name": "ai", "key_prefix": prefix, "providers": telemetry.providers, "timeout": 5.0}
    async with AIResponseCache(config, **options) as cache:
        yield cache


def amounts(telemetry: Capture, row: catalog.Instrument) -> dict[tuple[Any, ...], float]:
    """What a metric counts, by disposition, estimate and, where there is one, type of token."""
    keys = (catalog.AI_DISPOSITION.name, catalog.AI_ESTIMATE.name, catalog.TOKEN_TYPE.name)
    points = telemetry.metrics().get(row.name, [])
    return {tuple(p.attributes[key] for key in keys if key in p.attributes): p.value for p in points}


@pytest.mark.parametrize("tier", ["l1", "l2"])
async def test_what_a_response_cost_is_what_each_hit_saves(
    telemetry: Capture, answers: AIResponseCache, tier: str
) -> None:
    await answers.cache_response(TEXT, "sum", None, "short", usage=USAGE, generation_seconds=1.5, model="small-model")
    if tier == "l2":
        forget(answers)

    assert await answers.get_cached_response(TEXT, "sum", model="small-model") == "short"

    cost = (812 * 2.5 + 96 * 10.0) / 1e6
    assert amounts(telemetry, catalog.AI_TOKENS) == {
        ("spent", "measured", "input"): 812, ("spent", "measured", "output"): 96,
        ("saved", "measured", "input"): 812, ("saved", "measured", "output"): 96,
    }  # fmt: skip
    assert amounts(telemetry, catalog.AI_COST) == pytest.approx(
        {("spent", "measured"): cost, ("saved", "measured"): cost}
    )


async def test_the_time_saved_leaves_out_what_the_lookup_took(telemetry: Capture, answers: AIResponseCache) -> None:
    await answers.cache_response(TEXT, "sum", None, "short", usage=USAGE, generation_seconds=1.5)
    await answers.get_cached_response(TEXT, "sum")
    time = amounts(telemetry, catalog.AI_TIME)

    assert time["spent", "measured"] == 1.5
    assert 1.0 < time["saved", "measured"] < 1.5


async def test_without_usage_the_lengths_of_texts_are_an_estimate_and_say_so(
    telemetry: Capture, answers: AIResponseCache
) -> None:
    await answers.cache_response(TEXT, "sum", None, {"summary": "y" * 41, "score": 3, "more": ["z" * 3]})
    await answers.get_cached_response(TEXT, "sum")

    assert amounts(telemetry, catalog.AI_TOKENS) == {
        (disposition, "estimated", kind): tokens
        for disposition in ("spent", "saved")
        for kind, tokens in (("input", 100), ("output", 11))
    }
    assert amounts(telemetry, catalog.AI_COST)["saved", "estimated"] == pytest.approx(11 * 1.0 / 1e6)
    assert amounts(telemetry, catalog.AI_TIME) == {}


async def test_a_response_too_long_to_keep_was_paid_for_all_the_same(
    telemetry: Capture, answers: AIResponseCache
) -> None:
    text = "x" * 200_000
    await answers.cache_response(text, "sum", None, "short", usage=USAGE)
    await answers.get_cached_response(text, "sum")

    assert amounts(telemetry, catalog.AI_TOKENS) == {
        ("spent", "measured", "input"): 812, ("spent", "measured", "output"): 96,
    }  # fmt: skip
    telemetry.assert_schema()


async def test_a_miss_and_what_was_refused_count_nothing(telemetry: Capture, answers: AIResponseCache) -> None:
    await answers.get_cached_response(TEXT, "sum")
    with pytest.raises(ValidationError, match="object"):
        await answers.cache_response(TEXT, "sum", None, object(), usage=USAGE)

    assert amounts(telemetry, catalog.AI_TOKENS) == {}
    (point,) = telemetry.metrics()[catalog.AI_TEXT_SIZE.name]
    assert (point.count, point.sum) == (1, 400)


async def test_notes_of_another_writer_are_not_trusted(telemetry: Capture, answers: AIResponseCache) -> None:
    key, facts = answers.build_key(TEXT, "sum"), answers._facts(TEXT, "sum")
    notes = {"usage": {"input": "many", "output": -4, "other": True}, "model": 7}
    await answers._store(key, "short", None, None, ai=facts, facts=Facts(notes=notes))

    await answers.get_cached_response(TEXT, "sum")

    assert amounts(telemetry, catalog.AI_TOKENS) == {}


async def test_the_span_says_the_template_of_the_key_and_not_the_text(
    telemetry: Capture, answers: AIResponseCache
) -> None:
    await answers.get_cached_response("a private text", "sum")
    span = telemetry.spans[-1]

    assert span.attributes[catalog.KEY_TEMPLATE.name] == KEY_TEMPLATE
    assert "private" not in str(telemetry.spans)


async def test_telemetry_folds_the_operations_that_it_can_not_carry(telemetry: Capture) -> None:
    async with AIMemoryCache(providers=telemetry.providers) as cache:
        for operation in ("sum", "übersetzen: de → en", "x" * 65, "a\nb", "\ud800"):
            await cache.get_cached_response("t", operation)

    points = telemetry.metrics()[catalog.AI_LOOKUPS.name]
    seen = {point.attributes[catalog.AI_OPERATION.name]: point.value for point in points}
    assert seen == {"sum": 1, "übersetzen: de → en": 1, catalog.OTHER: 3}


@pytest.mark.parametrize("model", [7, b"m"])
async def test_a_model_that_is_no_name_is_refused(answers: AIResponseCache, model: Any) -> None:
    with pytest.raises(ValidationError, match="model is"):
        await answers.cache_response(TEXT, "sum", None, "short", model=model)


def test_a_price_below_zero_is_refused() -> None:
    result = AICacheConfig(token_prices={"input": -1.0}).validate()

    assert result.errors == ["token_prices['input']=-1.0 is outside 0..1000000 USD per million tokens"]

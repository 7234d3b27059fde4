"""Times to live in files, variables and dictionaries; a 0 among them is told when the cache is built."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from otcache import (
    FOREVER,
    AICacheConfig,
    AIMemoryCache,
    CacheConfig,
    CacheConfigBuilder,
    CacheFactory,
    GenericRedisCache,
    InMemoryCache,
    Settings,
)
from otcache.exceptions import ConfigurationError
from tests.rows import every

VARIABLES = ("DEFAULT_TTL", "STALE_TTL", "NEGATIVE_TTL", "AI__OPERATION_TTLS")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"OTCACHE_{name}", raising=False)


@every(("text", "ttl"), [("forever", FOREVER), (" Forever", FOREVER), ("60", 60), ("1.5", 1.5), ("0", 0)])
def test_a_variable_says_seconds_or_forever(text: str, ttl: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES[:3]:
            patch.setenv(f"OTCACHE_{name}", text)

        built, read = CacheConfigBuilder().from_environment().build(), Settings().to_cache_config()

    assert built == read
    assert (built.default_ttl, built.stale_ttl, built.negative_ttl) == (ttl, ttl, ttl)


@every("text", ["", "abc", "-1", "nan", "-inf", "31536001", "60s", "0x10", "9" * 400, "9" * 5000])
def test_a_variable_that_says_neither_is_refused_by_name(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTCACHE_DEFAULT_TTL", text)

        with pytest.raises(ConfigurationError, match="OTCACHE_DEFAULT_TTL can't be used"):
            CacheConfigBuilder().from_environment()


def test_operations_may_last_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_AI__OPERATION_TTLS", '{"qa": "forever", "sum": 0.5}')

    configs = [CacheConfigBuilder().from_environment().build(), Settings().to_cache_config()]

    assert [config.ai_config and config.ai_config.operation_ttls for config in configs] == [
        {"qa": FOREVER, "sum": 0.5}
    ] * 2


def ways(config: CacheConfig, folder: Path) -> dict[str, Callable[[], CacheConfig]]:
    file = folder / "cache.json"
    CacheConfigBuilder().with_options(**config.to_dict()).save_to_file(file)
    return {
        "file": lambda: CacheConfigBuilder().from_file(file).build(),
        "options": lambda: CacheConfigBuilder().with_options(**json.loads(json.dumps(config.to_dict()))).build(),
        "settings": lambda: Settings(**config.to_dict()).to_cache_config(),
        "cache": lambda: AIMemoryCache(**config.to_dict()).config,
    }


@every("ttl", [60, 0.5, timedelta(hours=1), FOREVER], ids=str)
def test_what_is_written_comes_back(tmp_path: Path, ttl: Any) -> None:
    config = CacheConfig(default_ttl=ttl, negative_ttl=ttl, ai_config=AICacheConfig(operation_ttls={"qa": ttl}))

    back = {name: way() for name, way in ways(config, tmp_path).items()}

    assert back == dict.fromkeys(back, config)
    assert json.dumps(config.to_dict(), allow_nan=False)


def test_settings_write_forever_as_json() -> None:
    settings = Settings(default_ttl=FOREVER)

    assert Settings(**json.loads(settings.model_dump_json())).to_cache_config().default_ttl == FOREVER


async def test_a_dictionary_says_forever() -> None:
    given = {"redis_url": None, "default_ttl": "forever", "operation_ttls": {"qa": "forever"}}
    async with await CacheFactory().create_cache_from_config(given) as cache:  # type: ignore[attr-defined]
        await cache.set("k", 1)
        await cache.cache_response("t", "qa", None, 1)

        assert [await cache.get_ttl(key) for key in ("k", cache.build_key("t", "qa"))] == [FOREVER, FOREVER]


ZERO: dict[str, Callable[[], Any]] = {
    "default_ttl=0": lambda: InMemoryCache(default_ttl=0),
    "default_ttl=0 ": lambda: GenericRedisCache(default_ttl=0),
    "operation_ttls['qa']=0": lambda: AIMemoryCache(ai_config=AICacheConfig(operation_ttls={"qa": 0})),
}


@pytest.mark.parametrize(("name", "build"), ZERO.items(), ids=ZERO)
def test_a_0_is_told_once_when_the_cache_is_built(name: str, build: Callable[[], Any]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cache = build()

    way_out = "otcache.FOREVER, in files and variables `forever`, keeps for ever"
    assert [str(each.message) for each in told] == [f"{name.strip()} now means not kept; {way_out}"]
    assert told[0].filename == __file__
    assert any("now means not kept" in each for each in cache.config.validate().warnings)


async def test_a_factory_that_falls_back_to_memory_tells_it_once() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        cache = await CacheFactory().for_web_app("redis://127.0.0.1:1", default_ttl=0, timeout=0.05)

    assert len([each for each in told if "now means not kept" in str(each.message)]) == 1
    await cache.close()  # type: ignore[attr-defined]


def test_what_may_be_served_stale_is_no_0_to_warn_of() -> None:
    assert CacheConfig(stale_ttl=0, negative_ttl=0).validate().warnings == []

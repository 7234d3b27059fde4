"""What caches are called in Redis: two that differ in namespace, key prefix or name have no name in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otcache.config import CacheConfig
from otcache.config.namespace import key_space, namespace_of
from otcache.exceptions import ConfigurationError
from otcache.stores.redis.session import RedisNames
from tests.rows import every

# Few pieces, and those that mean something in a name: pairs that could collide are common, not found by chance.
PIECES = ("a", "b", "web", ":", "::", "@2:", "@2:lock:", "lock", "news", "stamps", "/", "%", "%3A", "%:", "*", "?", "[",
          "{", "}", "{a}", "\\", "é", "%~", "-", ".", "@", "otcache")  # fmt: skip


def text(*more: str, low: int, high: int = 4) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from((*PIECES, *more)), min_size=low, max_size=high).map("".join)


NAMESPACES = st.one_of(text(" ", low=0), st.text(max_size=140))
PREFIXES = text(low=1)
CACHE_NAMES = st.lists(st.sampled_from(("a", "b", "web", "lock", "news", "stamps", "1", ".", "-", "_")), min_size=1,
                       max_size=3).map("".join)  # fmt: skip
TRIPLES = st.tuples(NAMESPACES, PREFIXES, CACHE_NAMES)


def names(triple: tuple[str, str, str], *, clustered: bool = False, database: int = 0) -> RedisNames:
    namespace, key_prefix, name = triple
    config = CacheConfig(namespace=namespace, key_prefix=key_prefix, name=name)
    return RedisNames(key_space(config), clustered=clustered, database=database)


def matches(glob: bytes, name: bytes) -> bool:
    """Whether a Redis glob, of which only the `*` at the end is no literal, matches."""
    assert glob.endswith(b"*")
    return name.startswith(re.sub(rb"\\(.)", rb"\1", glob[:-1], flags=re.DOTALL))


@given(TRIPLES, TRIPLES, text(low=1), st.booleans())
@example(("", "a:b:", "c"), ("", "a:", "b"), "c:k", False)
@example(("b:c", "a:", "web"), ("c", "a:b:", "web"), "k", False)
@example(("", "a:", "web"), ("", "a:web@2:lock:", "x"), "x:k", False)
@example(("", "app", "web"), ("", "appw", "eb"), "k", False)
@example(("", "app", "web"), ("", "app:", "web"), "k", False)
@example(("b", "a:", "c"), ("", "a:b/", "c"), "k", False)
def test_no_sweep_row_or_channel_of_one_cache_meets_anything_of_another(
    one: tuple[str, str, str], other: tuple[str, str, str], key: str, clustered: bool
) -> None:
    ours, theirs = names(one, clustered=clustered), names(other, clustered=clustered)
    shared = one == other
    rows = [theirs.channel, theirs.versions, theirs.lock(key)]

    assert matches(ours.match("*"), theirs.entry(key)) == shared
    assert not any(matches(ours.match("*"), row) for row in rows)
    assert (ours.channel == theirs.channel) == shared
    assert (ours.versions == theirs.versions) == shared
    assert shared or ours.lock(key) not in [theirs.lock(key), theirs.entry(key), *rows]


@given(TRIPLES, TRIPLES)
@example(("", "a:web@2:lock:", "x"), ("", "a:", "web"))
@example(("", "a:web@2:", "lock"), ("", "a:", "web"))
def test_no_key_makes_the_name_of_anothers_lock(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Keys are any text: a name of ours can be made into theirs if theirs begins as ours do, or ours as theirs."""
    entry, lock = names(one).entry(""), names(other).lock("")

    assert not entry.startswith(lock)
    assert not lock.startswith(entry)


@given(TRIPLES, st.integers(0, 20), st.integers(0, 20))
def test_every_database_has_channels_of_its_own(triple: tuple[str, str, str], one: int, other: int) -> None:
    """Keys are the database's; a message reaches whoever listens, in any of them."""
    ours, theirs = names(triple, database=one), names(triple, database=other)

    assert (ours.channel == theirs.channel) == (one == other)
    assert (ours.announcements == theirs.announcements) == (one == other)


@given(NAMESPACES, st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs", "Z", "C"]), min_size=1))
def test_a_namespace_never_moves_entries_to_one_slot(namespace: str, key_prefix: str) -> None:
    assert b"{" not in names((namespace, key_prefix, "web")).entry("k")


@given(NAMESPACES, st.text("abc-_.", min_size=1, max_size=9), CACHE_NAMES)
def test_a_key_prefix_of_one_colon_stands_as_it_is(namespace: str, word: str, name: str) -> None:
    assert names((namespace, f"{word}:", name)).entry("k").startswith(f"{word}:".encode())
    assert names(("", f"{word}:", name)).entry("k") == f"{word}:{name}:k".encode()


def test_very_long_names_of_services_are_told_apart() -> None:
    long = [f"{'s' * 300}{number}" for number in range(20)]
    spaces = [key_space(CacheConfig(namespace=namespace)) for namespace in long]

    assert not any(one.startswith(other) or other.startswith(one) for one, other in combinations(spaces, 2))
    assert max(map(len, spaces)) < 200


# --- where a namespace comes from ---------------------------------------------------------------------------

SERVICE = {"OTEL_SERVICE_NAME": "billing"}


@every(
    ("option", "environ", "namespace"),
    [
        (None, {}, ""),
        (None, SERVICE, "billing"),
        (None, {"OTEL_SERVICE_NAME": ""}, ""),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=blog"}, "blog"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=blog", **SERVICE}, "billing"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": " service.namespace = shop ,service.name=blog", **SERVICE}, "shop"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=,service.name=blog"}, "blog"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a%2Cb%3D%C3%A9"}, "a,b=é"),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "nonsense,,=,service.name=a=b,%zz"}, "a=b"),
        (None, {"OTCACHE_NAMESPACE": "own", **SERVICE}, "own"),
        (None, {"OTCACHE_NAMESPACE": "", **SERVICE}, ""),
        ("given", {"OTCACHE_NAMESPACE": "own", **SERVICE}, "given"),
        ("", {"OTCACHE_NAMESPACE": "own", **SERVICE}, ""),
    ],
)
def test_the_option_wins_over_our_variable_and_that_over_the_service(
    option: str | None, environ: Mapping[str, str], namespace: str
) -> None:
    assert namespace_of(CacheConfig(namespace=option), environ) == namespace


@given(st.text(st.characters(exclude_categories=["Cc"]), max_size=400))
def test_any_name_of_a_service_can_be_a_namespace(service: str) -> None:
    config = CacheConfig()
    space = key_space(CacheConfig(namespace=namespace_of(config, {"OTEL_SERVICE_NAME": service})))

    assert space.startswith("otcache:")
    assert space.encode()
    assert space.count(":") == 2


@every("value", ["\n", "a\x00", "x" * 129, "\x7f"])
def test_a_namespace_that_can_not_be_one_is_refused_by_name(value: str) -> None:
    assert any("namespace" in error for error in CacheConfig(namespace=value).validate().errors)
    with pytest.raises(ConfigurationError, match="OTCACHE_NAMESPACE"):
        namespace_of(CacheConfig(), {"OTCACHE_NAMESPACE": value})


def test_the_environment_sets_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    from otcache.config import Settings

    monkeypatch.setenv("OTCACHE_NAMESPACE", "own")
    settings: Any = Settings()

    assert settings.to_cache_config().namespace == "own"

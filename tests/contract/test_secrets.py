"""Secrets from every source: one or several, checked by name, and never shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from otcache import CacheConfig, CacheConfigBuilder, InMemoryCache, Settings
from otcache.cli import main
from otcache.config.sources import read_environment
from otcache.exceptions import ConfigurationError, ValidationError
from tests.rows import every

SECRET, OTHER = "hunter2 hunter2 hunter2", 'hunter2, with "signs" [of all, kinds]'
KEY, OTHER_KEY = "2a" * 32, "KioqKioqKioqKioqKioqKg=="
GOOD: Final = [
    ("signing_secret", SECRET),
    ("signing_secret", (SECRET,)),
    ("signing_secret", (SECRET, OTHER)),
    ("encryption_keys", KEY),
    ("encryption_keys", (KEY, OTHER_KEY)),
]
BAD: Final = [
    ("signing_secret", "hunter2", "signing_secret is shorter than 16 bytes"),
    ("signing_secret", (SECRET, "hunter2"), r"signing_secret\[1\] is shorter than 16 bytes"),
    ("signing_secret", (), "signing_secret is an empty list"),
    ("signing_secret", (SECRET,) * 17, "signing_secret needs 1 to 16 of them"),
    ("encryption_keys", "hunter2", "encryption_keys is no AES key: 16, 24 or 32 random bytes in base64"),
    ("encryption_keys", (KEY, "hunter2"), r"encryption_keys\[1\] is no AES key"),
    ("encryption_keys", f"{KEY},{OTHER_KEY}", "encryption_keys is no AES key"),
    ("encryption_keys", (), "encryption_keys is an empty list"),
]


def of_arguments(name: str, value: Any) -> CacheConfig:
    return CacheConfigBuilder().with_options(**{name: list(value) if isinstance(value, tuple) else value}).build()


def of_settings(name: str, value: Any) -> CacheConfig:
    return Settings(**{name: value}).to_cache_config()


def of_a_file(name: str, value: Any, folder: Path) -> CacheConfig:
    path = folder / "cache.json"
    path.write_text(json.dumps({name: value}))
    config = CacheConfigBuilder().from_file(path).build()
    CacheConfigBuilder().with_options(**{name: value}).save_to_file(path)
    assert CacheConfigBuilder().from_file(path).build() == config
    return config


def of_the_environment(name: str, value: Any, patch: pytest.MonkeyPatch) -> CacheConfig:
    patch.setenv(f"OTCACHE_{name.upper()}", json.dumps(value) if isinstance(value, tuple) else value)
    assert Settings().to_cache_config() == CacheConfigBuilder().from_environment().build()
    return CacheConfigBuilder().from_environment().build()


@pytest.fixture(params=["arguments", "settings", "file", "environment"])
def read(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Any], CacheConfig]:
    """Each source of a configuration in turn."""
    sources: dict[str, Callable[[str, Any], CacheConfig]] = {
        "arguments": of_arguments,
        "settings": of_settings,
        "file": lambda name, value: of_a_file(name, value, tmp_path),
        "environment": lambda name, value: of_the_environment(name, value, monkeypatch),
    }
    return sources[request.param]


@pytest.mark.parametrize(("name", "value"), GOOD)
def test_one_or_several_are_taken_and_not_shown(read: Callable[[str, Any], CacheConfig], name: str, value: Any) -> None:
    config = read(name, value)

    assert getattr(config, name) == value
    assert hash(config) == hash(read(name, value))
    assert "hunter2" not in repr(config) and KEY not in repr(config)  # noqa: PT018


@pytest.mark.parametrize(("name", "value", "says"), BAD)
def test_what_is_no_secret_is_an_error_that_does_not_show_it(
    read: Callable[[str, Any], CacheConfig], name: str, value: Any, says: str
) -> None:
    with pytest.raises((ValidationError, ConfigurationError), match=says) as raised:
        read(name, value)

    shown = f"{raised.value} {raised.value.context}"
    assert all(secret not in shown for secret in (SECRET, OTHER, KEY, OTHER_KEY, "hunter2"))


@every("text", ['["hunter2 hunter2 hunter2"', "[hunter2 hunter2 hunter2]", "[1, 2]", "[[]]", "[]", "[null]"])
def test_a_variable_that_looks_like_a_list_and_is_none_is_no_secret(text: str) -> None:
    with pytest.raises(ConfigurationError, match="OTCACHE_SIGNING_SECRET can't be used") as raised:
        read_environment({"OTCACHE_SIGNING_SECRET": text})

    assert "hunter2" not in f"{raised.value} {raised.value.context}"


def test_the_command_that_shows_a_configuration_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTCACHE_SIGNING_SECRET", json.dumps([SECRET, OTHER]))
    monkeypatch.setenv("OTCACHE_ENCRYPTION_KEYS", KEY)

    main(["config"])

    shown = capsys.readouterr().out
    assert "signing_secret" in shown
    assert "hunter2" not in shown
    assert KEY not in shown


async def test_a_list_that_is_changed_later_changes_no_cache() -> None:
    secrets = [SECRET]
    config = CacheConfig(signing_secret=secrets)  # type: ignore[arg-type]
    cache = InMemoryCache(config=config)

    secrets[0] = "short"

    assert config.signing_secret == (SECRET,)
    await cache.set("k", 1)
    assert await cache.get("k") == 1

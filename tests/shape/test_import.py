"""`import otcache` needs only its core, does nothing by itself, and shows every public name."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import otcache

ROOT = Path(__file__).parents[2]
EXTRAS = (
    "fastapi",
    "starlette",
    "pydantic",
    "pydantic_settings",
    "opentelemetry.sdk",
    "zstandard",
    "cryptography",
    "uvicorn",
)
BLOCKER = f"""
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if any(name == extra or name.startswith(extra + ".") for extra in {EXTRAS!r}):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(code: str) -> str:
    """What `code` prints in a process of its own, where warnings are errors."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTCACHE_", "OTEL_"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_any_extra_a_memory_cache_works_and_the_other_classes_are_there() -> None:
    code = """
import asyncio, otcache
from otcache import AIResponseCache, CacheConfigBuilder, CacheFactory, EnvironmentPresets, GenericRedisCache

async def main():
    cache = await CacheFactory().for_testing(use_memory_cache=True)
    await cache.set("user:1", {"name": "Ada"})
    print(await cache.get("user:1"))
    await cache.close()

asyncio.run(main())
"""
    assert run(BLOCKER + code) == "{'name': 'Ada'}"


@pytest.mark.parametrize(
    ("name", "extra"), [("get_cache_service", "fastapi"), ("Settings", "fastapi")], ids=["dependencies", "settings"]
)
def test_a_name_that_needs_an_extra_says_which(name: str, extra: str) -> None:
    code = f"""
try:
    from otcache import {name}
except ImportError as exc:
    print(exc)
"""
    assert f'pip install "otcache[{extra}]"' in run(BLOCKER + code)


@pytest.mark.parametrize("name", otcache.__all__)
def test_a_public_name_can_be_had_from_the_package(name: str) -> None:
    value = getattr(importlib.import_module("otcache"), name)

    assert value is not None
    assert name in dir(otcache)


def test_importing_does_nothing_but_import() -> None:
    code = """
import logging, os, signal, sys, threading, warnings
handlers, environment, filters = logging.root.handlers[:], dict(os.environ), warnings.filters[:]
import otcache
print(sorted(name for name in ("redis", "fastapi", "opentelemetry", "structlog") if name in sys.modules))
otcache.CacheFactory, otcache.AIResponseCache, otcache.InMemoryCache
import structlog
from opentelemetry import metrics, trace
assert threading.active_count() == 1
assert logging.root.handlers == handlers and not logging.getLogger("otcache").handlers
assert not structlog.is_configured()
assert dict(os.environ) == environment
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert "fastapi" not in sys.modules and "pydantic" not in sys.modules
"""
    assert run(code) == "[]"

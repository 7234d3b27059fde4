"""Where a benchmark ran: the machine, the versions and the commit, as texts."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from otcache.base import CacheInterface
from otcache.cache import Cache
from otcache.exceptions import StoreError
from otcache.stores.registry import open_store
from otcache.version import __version__

_ANSWER_SECONDS: Final = 5.0
_PACKAGES: Final = {
    "redis_py": "redis",
    "hiredis": "hiredis",
    "opentelemetry_api": "opentelemetry-api",
    "opentelemetry_sdk": "opentelemetry-sdk",
}


async def fingerprint(cache: CacheInterface) -> dict[str, str]:
    """The facts of this machine and process, and of the server behind `cache`; what can't be known is left out."""
    return {**_local(), **await _server(cache)}


async def _server(cache: CacheInterface) -> dict[str, str]:
    if not isinstance(cache, Cache) or cache.config.redis_url is None:
        return {}
    backend = open_store(cache.config)
    if backend.server is None:
        return {}
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            version = await backend.server.version()
    except (StoreError, TimeoutError):
        return {}
    finally:
        await backend.store.close()
    return {"server": version}


@cache
def _local() -> dict[str, str]:
    return {
        "cpu": _cpu(),
        "cpu_count": str(_cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "otcache": __version__,
        **{name: version for name, package in _PACKAGES.items() if (version := _version(package))},
        **_commit(),
    }


def _cpu() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, str]:
    """The commit of the directory that the benchmark runs in, and whether there is anything uncommitted."""
    sha, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    if not sha or changes is None:
        return {}
    return {"git_sha": sha, "git_dirty": "true" if changes else "false"}


def _git(*arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  fixed arguments
            [program, *arguments], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

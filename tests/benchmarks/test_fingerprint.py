"""The facts of the machine are there, and a server that can't be asked is left out in time."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from otcache import GenericRedisCache, InMemoryCache
from otcache.benchmarks._run import fingerprint
from otcache.stores.redis.store import RedisStore
from tests.benchmarks.examples import Own
from tests.servers import RedisServer


async def test_every_kind_of_server_says_which_it_is(store: RedisStore) -> None:
    version = await store.session.version()

    assert re.fullmatch(r"(redis|valkey) \d+\.\d+\.\d+", version)


async def test_a_cache_without_a_server_has_the_facts_of_the_machine() -> None:
    own, ours = await fingerprint.fingerprint(Own()), await fingerprint.fingerprint(InMemoryCache(name="measured"))

    assert own == ours
    assert "server" not in own
    assert int(own["cpu_count"]) >= 1


async def test_a_server_that_is_away_is_left_out(away_url: str) -> None:
    async with GenericRedisCache(name="measured", redis_url=away_url) as cache:
        assert "server" not in await fingerprint.fingerprint(cache)


async def test_a_server_that_never_answers_is_left_out_in_time(
    silent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_ANSWER_SECONDS", 0.1)

    async with GenericRedisCache(name="measured", redis_url=silent_url) as cache:
        assert "server" not in await fingerprint.fingerprint(cache)


async def test_a_server_that_dies_is_asked_anew_each_time(private_server: RedisServer) -> None:
    async with GenericRedisCache(name="measured", redis_url=private_server.url) as cache:
        before = await fingerprint.fingerprint(cache)
        private_server.kill()
        after = await fingerprint.fingerprint(cache)

    assert before.keys() - after.keys() == {"server"}


def test_the_commit_is_that_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outside = fingerprint._commit()
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "init", "-q"], check=True)
    Path("file").write_text("1")
    subprocess.run(["git", "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)

    clean = fingerprint._commit()
    Path("file").write_text("2")
    dirty = fingerprint._commit()

    assert outside == {}
    assert re.fullmatch(r"[0-9a-f]{40}", clean["git_sha"])
    assert (clean["git_dirty"], dirty["git_dirty"]) == ("false", "true")
    assert clean["git_sha"] == dirty["git_sha"]

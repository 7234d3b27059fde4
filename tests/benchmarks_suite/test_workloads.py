"""Every workload runs, for one small round, against a real Redis and with every peer."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks import catalogue, entry_memory, peers, redis_benchmark
from benchmarks.harness import measure
from benchmarks.setting import Setting
from benchmarks.workloads import Group, decorated, export, hits, mixes, payloads, redis_hits
from tests.benchmarks_suite.conftest import Settings
from tests.servers import require

BENCH = 'pip install -e ".[bench]"'
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")  # cashews and aiocache do


@pytest.mark.parametrize("group", catalogue.GROUPS, ids=lambda group: group.name)
async def test_a_group_measures_every_case_it_builds(group: Group, setting: Setting) -> None:
    timings = await catalogue.timings(group, setting, rounds=1)

    assert group.base in timings
    assert len(timings) >= 3
    assert all(timing.wall[0] > 0 for timing in timings.values())


async def test_a_group_that_needs_redis_is_left_out_and_named_without_one(settings: Settings) -> None:
    setting = settings()

    timings = await catalogue.timings(redis_hits.SINGLE, setting, rounds=1)

    assert timings == {}
    assert "no Redis server" in setting.absent[redis_hits.SINGLE.title]


@pytest.mark.parametrize("name", peers.MODULES)
async def test_every_peer_is_in_the_group_of_hits(name: str, setting: Setting) -> None:
    module, missing = peers.load(name)
    if module is None:
        require(f"{name} ({missing})", BENCH)

    async with setting.stack:
        cases = await hits.build(setting)

    assert name in cases


@pytest.mark.parametrize("role", ["memory", "redis"])
async def test_every_peer_gives_back_what_it_was_given(role: str, setting: Setting) -> None:
    argument = 10 if role == "memory" else setting.port

    async with setting.stack:
        found = await setting.peers(role, argument)
        for name, client in found.items():
            await client.set(f"given:{name}", b"value" if role == "memory" else {"a": 1})
            assert await client.get(f"given:{name}") == (b"value" if role == "memory" else {"a": 1}), name
            assert await client.get(f"absent:{name}") is None

    assert len(found) + len(setting.absent) >= 3


async def test_a_decorator_of_a_peer_answers_as_the_function_does(setting: Setting) -> None:
    async with setting.stack:
        found = await setting.peers("decorated", decorated.user)
        answers = {name: [await function(17), await function(17)] for name, function in found.items()}

    assert answers == {name: [{"id": 17}, {"id": 17}] for name in found}


async def test_what_otcache_decorates_is_called_once(setting: Setting) -> None:
    called: list[int] = []

    async def user(user_id: int) -> dict[str, int]:
        called.append(user_id)
        return {"id": user_id}

    async with setting.stack:
        function = decorated.kept(setting, user)
        answers = [await function(17), await function(17)]

    assert answers == [{"id": 17}, {"id": 17}]
    assert called == [17]


async def test_fifty_readers_ask_for_fifty_keys(setting: Setting) -> None:
    asked: list[str] = []

    async def get(key: str) -> str:
        asked.append(key)
        await asyncio.sleep(0)
        return "found"

    case = redis_hits.together(redis_hits.Reader(get, "some"), times=2)
    await case.run()

    assert case.operations == len(asked) == 100
    assert sorted(set(asked)) == sorted({f"some:{number}" for number in range(50)})
    assert set(asked[:50]) == set(asked[50:])  # all of them at once, and then all of them again


async def test_a_reader_that_finds_nothing_is_not_measured() -> None:
    async def get(key: str) -> None:
        """A miss."""

    with pytest.raises(redis_hits.MissedError, match="some:0"):
        await redis_hits.one_at_a_time(redis_hits.Reader(get, "some"), 1).run()


async def test_nothing_of_a_scan_is_found_and_most_of_a_zipf_is() -> None:
    async def share(steps: list[mixes.Step]) -> float:
        client, found = mixes.bare(mixes.LIMIT), 0
        for _ in range(2):
            found = 0
            for _, key in steps:
                found += await client.get(key) is not None
                await client.set(key, key)
        return found / len(steps)

    assert await share(mixes.scan()) == 0
    assert 0.9 < await share(mixes.zipf()) < 1


def test_four_of_five_operations_of_the_writes_write() -> None:
    steps = mixes.writes()

    share = sum(writing for writing, _ in steps) / len(steps)

    assert 0.78 < share < 0.82


@pytest.mark.parametrize("size", [2_000, 50_000])
def test_an_answer_has_the_size_it_is_named_after(size: int) -> None:
    answer = payloads.answer(size)

    assert size <= len(str(answer)) < size * 1.3
    assert answer == payloads.answer(size)


async def test_a_collection_has_the_series_it_is_divided_by(setting: Setting) -> None:
    async with setting.stack:
        cases = await export.build(setting)

    assert cases[export.PER_SERIES].operations >= 20 * 7  # the operations alone
    assert cases[export.PER_SERIES].operations == cases[export.IDLE].operations


@pytest.mark.parametrize("structure", entry_memory.STRUCTURES)
def test_an_entry_of_every_structure_takes_some_bytes(structure: str) -> None:
    figure, missing = entry_memory.in_a_process(structure, 2_000)

    if figure is None:
        require(f"{structure} ({missing})", BENCH)
    assert 50 < figure < 1000


async def test_the_servers_own_benchmark_takes_part(setting: Setting) -> None:
    assert setting.port is not None
    case, missing = redis_benchmark.case(setting.port, "some", 2)
    if case is None:
        require("redis-benchmark", missing)

    timings = await measure({"limit": case}, rounds=1)

    assert timings["limit"].cpu == []
    assert timings["limit"].wall[0] > 0

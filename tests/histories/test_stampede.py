"""A thousand callers of one cold key in four real processes load once, or twice if the loading process dies."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from otcache.telemetry import catalog
from tests.histories.callers import CALLERS
from tests.histories.ground import Ground
from tests.histories.run import PROCESSES, program
from tests.leaks import locks
from tests.servers import RedisServer, end, spawn, wait_for

LOCK_SECONDS: Final = 1.0
PREFIX: Final = "stampede:"


class Stampede:
    """The processes, and what they have left."""

    def __init__(self, server: RedisServer, ground: Ground, directory: Path, lock_seconds: float) -> None:
        self.ground = ground
        self._directory = directory
        options = json.dumps({"lock_seconds": lock_seconds, "key_prefix": PREFIX})
        self._processes = [
            spawn(self._command(number, server.url, options), directory / f"{number}.log")
            for number in range(PROCESSES)
        ]

    def _command(self, number: int, url: str, options: str) -> list[str]:
        file = self._directory / str(number)
        return program("tests.histories.callers", number, url, self.ground.path, file, options)

    def leader(self) -> subprocess.Popen[bytes]:
        """The process that runs the first load, once all callers are waiting for it."""
        wait_for(lambda: self.ground.begun == PROCESSES or bool(self._failed()), "all callers", 240)
        assert not self._failed(), self._failed()
        return self._processes[self.ground.loads[0].process]

    def results(self) -> list[dict[str, Any]]:
        """What those processes left that were not killed, once they have ended."""
        living = [number for number, each in enumerate(self._processes) if each.returncode is None]
        wait_for(lambda: all(self._processes[number].poll() is not None for number in living), "the end", 240)
        assert not self._failed(), self._failed()
        return [json.loads((self._directory / str(number)).read_text()) for number in living]

    def _failed(self) -> str:
        failed = [number for number, each in enumerate(self._processes) if each.poll() not in (None, 0, -9)]
        return "\n".join((self._directory / f"{number}.log").read_text()[-3000:] for number in failed)

    def stop(self) -> None:
        for process in self._processes:
            end(process)


@pytest.fixture
def server(start: Callable[[RedisServer], RedisServer]) -> RedisServer:
    return start(RedisServer("valkey"))


@pytest.fixture
def lock_seconds() -> float:
    """Of the processes' locks."""
    return LOCK_SECONDS


@pytest.fixture
def stampede(server: RedisServer, tmp_path: Path, lock_seconds: float) -> Iterator[Stampede]:
    with Ground(server, tmp_path, PROCESSES) as ground:
        stampede = Stampede(server, ground, tmp_path, lock_seconds)
        yield stampede
        stampede.stop()


def spans_of(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [span for result in results for span in result["spans"]]


def links_of(span: dict[str, Any]) -> list[tuple[int, int]]:
    """Where a caller's span says it waited: trace id and span id."""
    return [(t, s) for t, s, facts in span["links"] if facts[catalog.LINK_TYPE.name] == "coalesced_leader"]


def named(spans: list[dict[str, Any]], start: str) -> list[dict[str, Any]]:
    return [span for span in spans if span["name"].startswith(start)]


@pytest.mark.parametrize("lock_seconds", [30.0])  # a process that a busy machine forgets must not lose its lock
def test_a_thousand_callers_in_four_processes_load_once_and_their_spans_say_who_waited_for_whom(
    stampede: Stampede, server: RedisServer
) -> None:
    stampede.leader()
    stampede.ground.release(PROCESSES)
    results = stampede.results()

    spans = spans_of(results)
    (load,) = named(spans, "cache.load ")
    calls = named(spans, "cache.get_or_set ")
    (leader,) = [call for call in calls if call["trace"] == load["trace"]]
    assert len(stampede.ground.loads) == 1
    assert Counter(answer for result in results for answer in result["answers"]) == {
        f"{stampede.ground.loads[0].process}:1": PROCESSES * CALLERS
    }
    assert len(calls) == PROCESSES * CALLERS
    assert links_of(leader) == []
    assert {tuple(links_of(call)) for call in calls if call is not leader} == {((load["trace"], load["span"]),)}
    assert locks(server, PREFIX) == []


def test_if_the_process_that_loads_is_killed_another_takes_over_within_the_time_of_its_lock(
    stampede: Stampede, server: RedisServer
) -> None:
    leader = stampede.leader()
    end(leader)
    left = [server.command("PTTL", lock) for lock in locks(server, PREFIX)]
    wait_for(lambda: len(stampede.ground.loads) == 2, "the second load", 60)
    stampede.ground.release(2)
    results = stampede.results()

    first, second = stampede.ground.loads
    assert second.process != first.process
    assert Counter(answer for result in results for answer in result["answers"]) == {
        f"{second.process}:2": (PROCESSES - 1) * CALLERS
    }
    assert all(milliseconds <= LOCK_SECONDS * 1000 for milliseconds in left)  # nobody waits for anything else
    assert locks(server, PREFIX) == []


def test_if_the_process_that_loads_hangs_for_longer_than_its_lock_it_is_loaded_twice_and_nobody_hangs(
    stampede: Stampede, server: RedisServer
) -> None:
    leader = stampede.leader()
    leader.send_signal(signal.SIGSTOP)
    wait_for(lambda: len(stampede.ground.loads) == 2, "the second load", 60)
    stampede.ground.release(2)
    leader.send_signal(signal.SIGCONT)
    results = stampede.results()

    assert len(stampede.ground.loads) == 2
    assert sum(len(result["answers"]) for result in results) == PROCESSES * CALLERS
    assert {answer.partition(":")[2] for result in results for answer in result["answers"]} <= {"1", "2"}
    assert locks(server, PREFIX) == []

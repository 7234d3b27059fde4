"""Two processes take turns: the order, what is paired, and how each kind of failure is told."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otcache._exports.read import SourceError
from otcache.exceptions import ConfigurationError
from otcache.regression._ab.process import Side
from otcache.regression._ab.run import Shape, measure
from otcache.regression._runs import compare_runs
from tests.servers import wait_for

TINY = Shape(bouts=1, rounds=2, round_seconds=0.001)


def side(root: Path, name: str = "here", **files: str) -> Side:
    """A directory with these modules as a side."""
    place = root / name
    place.mkdir()
    for module, text in files.items():
        (place / f"{module}.py").write_text(text)
    return Side(name, root=place, first=(place,))


def failure(target: str, what: Side, shape: Shape = TINY) -> str:
    """How an A/B run of a side with itself fails."""
    with pytest.raises(SourceError) as caught:
        measure(target, what, what, shape)
    return str(caught.value)


# --- targets ------------------------------------------------------------------------------------------

FUNCTIONS = {
    "plain": "def work(): pass",
    "a coroutine function": "async def work(): pass",
    "a function that gives a coroutine": "async def inner(): pass\nwork = lambda: inner()",
    "an object": "class Work:\n    def __call__(self): pass\nwork = Work()",
    "an asynchronous object": "class Work:\n    async def __call__(self): pass\nwork = Work()",
}


@pytest.mark.parametrize("code", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_whatever_can_be_called_is_measured(tmp_path: Path, code: str) -> None:
    here = side(tmp_path, bench=code)

    old, new = measure("bench:work", here, here, TINY)

    assert [len(run.rounds) for run in (*old, *new)] == [2, 2]
    assert all(seconds > 0 for run in (*old, *new) for seconds in run.rounds)


def test_a_coroutine_is_awaited_to_its_end(tmp_path: Path) -> None:
    code = "import asyncio\nasync def work():\n    await asyncio.sleep(0)\n    print('done')"
    here = side(tmp_path, bench=f"{code}\n    open('log', 'a').write('x')")

    measure("bench:work", here, here, TINY)

    assert (tmp_path / "here" / "log").read_text().startswith("xx")


def test_a_method_of_something_in_the_module_is_a_target(tmp_path: Path) -> None:
    here = side(tmp_path, bench="class Shop:\n    @staticmethod\n    def work(): pass\nshop = Shop()")

    old, _ = measure("bench:shop.work", here, here, TINY)

    assert len(old[0].rounds) == 2


@pytest.mark.parametrize("operation", ["get", "get_miss", "set", "delete"])
def test_operations_of_otcache_itself_are_measured(operation: str) -> None:
    here = Side("here")

    old, new = measure(operation, here, here, TINY)

    assert len(old[0].rounds) == len(new[0].rounds) == 2


@pytest.mark.parametrize("target", ["fetch", "", "bench:", ":work", "bench:work()", "-c:x y"])
def test_what_is_no_target_is_refused(target: str) -> None:
    with pytest.raises(ConfigurationError, match="is neither module:function nor one of get, get_miss, set, delete"):
        measure(target, Side("here"), Side("here"), TINY)


# --- turns --------------------------------------------------------------------------------------------

LOGGED = "from pathlib import Path\ndef work():\n    with open('../log', 'a') as log: log.write(Path.cwd().name[0])"


def turns(log: str, rounds: int) -> str:
    """Who was at work, without repetitions within a round, of the last so many rounds of both."""
    count = len(log) - len(log.rstrip(log[-1]))
    return "".join(log[-1 - at * count] for at in range(2 * rounds))[::-1]


def test_rounds_are_in_the_order_abba_and_every_other_bout_the_other_way_round(tmp_path: Path) -> None:
    sides = side(tmp_path, "a", bench=LOGGED), side(tmp_path, "b", bench=LOGGED)
    seen: list[str] = []

    def look() -> None:
        seen.append((tmp_path / "log").read_text())
        (tmp_path / "log").unlink()

    measure("bench:work", *sides, Shape(bouts=2, rounds=4, round_seconds=0.001), look)

    assert [turns(log, 4) for log in seen] == ["baabbaab", "abbaabba"]


def test_both_sides_do_the_same_number_of_operations(tmp_path: Path) -> None:
    slow = LOGGED + "\n    sum(range(20_000))"
    sides = side(tmp_path, "a", bench=LOGGED), side(tmp_path, "b", bench=slow)

    measure("bench:work", *sides, Shape(bouts=1, rounds=2, round_seconds=0.01))

    log = (tmp_path / "log").read_text()
    count = len(log) - len(log.rstrip("b"))
    assert count > 1
    assert log.endswith("b" * count + "a" * 2 * count + "b" * count)


def test_a_long_operation_has_fewer_rounds(tmp_path: Path) -> None:
    here = side(tmp_path, bench="import time\ndef work(): time.sleep(0.01)")

    old, new = measure("bench:work", here, here, Shape(bouts=1, rounds=100, round_seconds=0.001))

    assert len(old[0].rounds) == len(new[0].rounds)
    assert len(old[0].rounds) in range(20, 42, 2)


def test_runs_are_paired_bout_by_bout(tmp_path: Path) -> None:
    here = side(tmp_path, bench="def work(): pass")
    steps: list[None] = []

    old, new = measure("bench:work", here, here, replace(TINY, bouts=3), lambda: steps.append(None))

    assert [run.process for run in old] == ["baseline 0", "baseline 1", "baseline 2"]
    assert [run.paired_with for run in new] == [0, 1, 2]
    assert len(steps) == 3


def test_each_bout_has_fresh_processes(tmp_path: Path) -> None:
    here = side(tmp_path, bench="import os\nopen('pids', 'a').write(f'{os.getpid()}\\n')\ndef work(): pass")

    measure("bench:work", here, here, replace(TINY, bouts=3))

    assert len(set((tmp_path / "here" / "pids").read_text().split())) == 6


def test_several_times_the_work_is_critical(tmp_path: Path) -> None:
    light = side(tmp_path, "light", bench="def work(): return sum(range(200))")
    heavy = side(tmp_path, "heavy", bench="def work(): return sum(range(2000))")

    found = compare_runs(*measure("bench:work", light, heavy, Shape(bouts=5, rounds=6, round_seconds=0.002)))

    assert (found.verdict, found.method) == ("critical", "paired")
    assert (found.change or 0) > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bouts": 0}, "bouts=0 is outside 1..1000"),
        ({"rounds": 1}, "rounds=1 is outside 2..10000"),
        ({"rounds": 5}, "rounds=5 is not even"),
        ({"round_seconds": 0.0}, "round_seconds=0 is outside 0.001..60"),
        ({"patience": float("nan")}, "patience=nan is outside 0.1..3600"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        replace(TINY, **options)


# --- what targets do ----------------------------------------------------------------------------------


def test_a_target_may_print_and_read_what_it_likes(tmp_path: Path) -> None:
    noise = "import os, sys\nprint('import')\nos.write(1, b'raw\\n')\ndef work():\n    print('hello', flush=True)\n"
    here = side(tmp_path, bench=f"{noise}    assert sys.stdin.readline() == ''\n    os.system('echo child')")

    old, _ = measure("bench:work", here, here, TINY)

    assert len(old[0].rounds) == 2


def test_our_own_modules_are_not_in_the_target_s_way(tmp_path: Path) -> None:
    here = side(tmp_path, bench="try:\n    import judge\nexcept ImportError:\n    def work(): pass")

    old, _ = measure("bench:work", here, here, TINY)

    assert len(old[0].rounds) == 2


FAILURES = {
    "import bench_that_is_not_there": "ModuleNotFoundError: No module named 'bench_that_is_not_there'",
    "def other(): pass": "AttributeError: module 'bench' has no attribute 'work'",
    "work = 7": "TypeError: 'int' object is not callable",
    "def work(key): pass": "TypeError: work() missing 1 required positional argument: 'key'",
    "def work(): raise ValueError('no\\nway')": "ValueError: no way (",
    "async def work(): raise ValueError('no way')": "ValueError: no way (",
    "def work(): yield 1": "TypeError: bench:work gives a generator, which does nothing until somebody reads it",
    "def work(:": "SyntaxError: invalid syntax",
    "import os\nprint('bye', flush=True)\nos._exit(3)": "its process ended with status 3: bye",
    "import os\ndef work(): os.kill(os.getpid(), 9)": "its process ended by SIGKILL",
    "import sys\nsys.exit('no licence')": "its process ended with status 1: no licence",
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_is_told_in_one_line_with_its_side(tmp_path: Path, code: str) -> None:
    said = failure("bench:work", side(tmp_path, bench=code))

    assert said.startswith(f"here: {FAILURES[code]}")
    assert "\n" not in said


def test_an_error_names_the_line_of_the_target(tmp_path: Path) -> None:
    here = side(tmp_path, bench="def work():\n    helper()\ndef helper():\n    raise LookupError('gone')")

    assert failure("bench:work", here).endswith(f"LookupError: gone ({tmp_path}/here/bench.py, line 4)")


def test_a_target_that_fails_later_is_told_too(tmp_path: Path) -> None:
    here = side(tmp_path, bench="calls = iter(range(50))\ndef work(): next(calls)")

    assert failure("bench:work", here).startswith("here: StopIteration: ")


def test_a_target_that_hangs_is_given_up_and_ended(tmp_path: Path) -> None:
    here = side(
        tmp_path, bench="import os, threading\nopen('pid', 'w').write(str(os.getpid()))\nthreading.Event().wait()"
    )

    said = failure("bench:work", here, replace(TINY, patience=1.0))

    assert said == "here does not answer within 1 s"
    assert not is_alive(int((tmp_path / "here" / "pid").read_text()))


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path) -> None:
    absent = str(tmp_path / "python")

    assert failure("get", Side("old", absent)) == f"{absent} can't be started: No such file or directory"


# --- what is left -------------------------------------------------------------------------------------


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_children_of_a_target_are_ended_with_it(tmp_path: Path) -> None:
    code = "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    here = side(tmp_path, bench=f"{code}open('pids', 'a').write(f'{{child.pid}}\\n')\ndef work(): pass")

    measure("bench:work", here, here, TINY)

    children = [int(pid) for pid in (tmp_path / "here" / "pids").read_text().split()]
    assert len(children) == 2
    wait_for(lambda: not any(map(is_alive, children)), "the children's end")


def test_a_target_can_clean_up_when_it_is_over(tmp_path: Path) -> None:
    code = "import atexit\natexit.register(lambda: open('ended', 'a').write('x'))\ndef work(): pass"
    here = side(tmp_path, bench=code)

    measure("bench:work", here, here, TINY)

    assert (tmp_path / "here" / "ended").read_text() == "xx"


def test_no_bytecode_is_left_beside_the_code(tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    here = side(tmp_path, bench="import more\ndef work(): pass", more="")

    measure("bench:work", here, here, TINY)

    assert sorted(os.listdir(tmp_path / "here")) == ["bench.py", "more.py"]
    assert list(scratch.iterdir()) == []


# --- environment --------------------------------------------------------------------------------------


def test_environment_variables_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_REDIS_URL", "redis://127.0.0.1:1/0")
    here = side(tmp_path, bench="import os\nassert os.environ['OTCACHE_REDIS_URL'][-1] == '0'\ndef work(): pass")

    assert measure("bench:work", here, here, TINY)


def test_both_sides_of_a_bout_hash_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    here = side(tmp_path, bench="open('hashes', 'a').write(f'{hash(\"x\")}\\n')\ndef work(): pass")

    measure("bench:work", here, here, replace(TINY, bouts=2))

    first, second, third, fourth = (tmp_path / "here" / "hashes").read_text().split()
    assert first == second != third == fourth


def test_the_interpreter_is_the_side_s(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    here = side(tmp_path, bench="import sys\nopen('names', 'a').write(f'{sys.executable}\\n')\ndef work(): pass")

    measure("bench:work", here, replace(here, python=str(other)), TINY)

    assert (tmp_path / "here" / "names").read_text().split() == [sys.executable, str(other)]

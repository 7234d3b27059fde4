"""The servers of the tests: they die with the tests, and a missing one is never overlooked in CI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import Kind, RedisServer, binary, require, wait_for

_ORPHAN = """
import os, signal
from tests.servers import RedisServer
server = RedisServer({kind!r}).start()
print(server.process.pid, server.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_a_server_dies_with_a_test_run_that_was_killed(kind: Kind) -> None:
    binary(kind)  # says so if it is missing; the run's own output would not
    run = subprocess.run([sys.executable, "-c", _ORPHAN.format(kind=kind)], capture_output=True, text=True, check=False)

    pid, directory = run.stdout.split()
    shutil.rmtree(directory)
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or "Z" in _state(pid), "its end")


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def test_a_missing_part_is_a_failure_in_ci_and_a_skip_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="pip install it"):
        require("a part", "pip install it")

    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="pip install it"):
        require("a part", "pip install it")


def test_a_server_keeps_its_port_over_a_restart(private_server: RedisServer) -> None:
    port = private_server.port
    private_server.command("SET", "key", "x")

    private_server.restart()

    assert private_server.port == port
    assert private_server.command("GET", "key") is None

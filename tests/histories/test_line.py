"""A line that is cut hands nothing on and tells nobody; what was kept comes late; nothing is settled meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.histories.ground import Ground
from tests.histories.history import Settled
from tests.servers import RedisServer, ask, wait_for


@pytest.fixture
def ground(redis_server: RedisServer, tmp_path: Path) -> Iterator[Ground]:
    with Ground(redis_server, tmp_path, 2) as ground:
        yield ground


@pytest.fixture
def client(ground: Ground) -> Iterator[socket.socket]:
    """A connection through the line of process 0."""
    with socket.create_connection(("127.0.0.1", ground.lines[0].port), timeout=5) as connection:
        yield connection


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return not connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(5)


def settled(ground: Ground, process: int, since: int) -> bool:
    """Whether anything that `process` sent is known to be settled that was sent after `since`."""
    return any(isinstance(r, Settled) and r.process == process and r.began > since for r in list(ground.records))


def test_an_open_line_hands_on_questions_and_answers(client: socket.socket) -> None:
    assert ask(client, "PING") == b"PONG"
    assert ask(client, "ECHO", "x" * 100_000) == b"x" * 100_000


def test_a_line_that_is_cut_keeps_what_is_said_until_it_is_open_again(
    ground: Ground, client: socket.socket, redis_server: RedisServer, prefix: str
) -> None:
    ask(client, "PING")

    with ground.line(0, "cut"):
        client.sendall(f"SET {prefix}k 1\r\n".encode())
        assert is_silent(client)
        assert redis_server.command("EXISTS", f"{prefix}k") == 0

    assert client.recv(100) == b"+OK\r\n"
    assert redis_server.command("GET", f"{prefix}k") == b"1"


def test_what_was_sent_into_a_cut_line_arrives_although_its_sender_is_gone(
    ground: Ground, client: socket.socket, redis_server: RedisServer, prefix: str
) -> None:
    with ground.line(0, "cut"):
        client.sendall(f"SET {prefix}k 1\r\n".encode())
        client.close()

    wait_for(lambda: bool(redis_server.command("EXISTS", f"{prefix}k")), "the late write", 5)


def test_a_deaf_line_hands_on_answers_but_no_news(
    ground: Ground, client: socket.socket, redis_server: RedisServer, prefix: str
) -> None:
    with socket.create_connection(("127.0.0.1", ground.lines[0].port), timeout=5) as listener:
        ask(listener, "SUBSCRIBE", prefix)

        with ground.line(0, "deaf"):
            redis_server.command("PUBLISH", prefix, "news")
            assert ask(client, "PING") == b"PONG"
            assert is_silent(listener)

        assert listener.recv(1000).endswith(b"news\r\n")


def test_nothing_that_was_sent_into_a_cut_line_is_settled_before_it_is_open(ground: Ground) -> None:
    with ground.line(0, "cut"):
        since = time.monotonic_ns()
        wait_for(lambda: settled(ground, 1, since), "a probe", 5)
        assert not settled(ground, 0, since)

    wait_for(lambda: settled(ground, 0, since), "a probe after it", 5)


def test_a_line_to_a_server_that_is_gone_refuses(ground: Ground, client: socket.socket) -> None:
    ground.lines[0]._server_port = 1

    with socket.create_connection(("127.0.0.1", ground.lines[0].port), timeout=5) as refused:
        assert refused.recv(1) == b""

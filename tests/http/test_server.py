"""Real servers on the loopback: two processes, one Redis, answers that are the same from both."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.http.app import status_of
from tests.servers import RedisServer, end, free_port, spawn, wait_for

ROOT = Path(__file__).parents[2]
APPLICATION = """
import asyncio, os
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from otcache import CacheConfig, install_cache
from otcache.http import cached_endpoint

app = FastAPI()
install_cache(app, config=CacheConfig(redis_url=os.environ["URL"], key_prefix=os.environ["PREFIX"], timeout=5.0))

@app.get("/users/{user_id}")
@cached_endpoint(ttl=600)
async def user(user_id: int):
    return {"id": user_id, "names": sorted({"b", "a"})}

@app.get("/process")
@cached_endpoint(ttl=600)
async def process():
    return os.getpid()

@app.api_route("/head", methods=["GET", "HEAD"])
@cached_endpoint(ttl=600)
async def head():
    return "x" * 100

@app.get("/stream")
@cached_endpoint(ttl=600)
async def stream():
    async def numbers():
        for number in range(3):
            yield b"%d" % number
            await asyncio.sleep(0)
    return StreamingResponse(numbers())
"""


@pytest.fixture
def servers(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Clients of two processes of one application."""
    (tmp_path / "shop.py").write_text(APPLICATION)
    started, clients = [], []
    for number in range(2):
        port, log = free_port(), tmp_path / f"log{number}"
        variables = [f"PYTHONPATH={ROOT}", f"URL={redis_server.url}", f"PREFIX={prefix}", f"PYTHONHASHSEED={number}"]
        uvicorn = [sys.executable, "-m", "uvicorn", "shop:app", "--app-dir", str(tmp_path), "--port", str(port)]
        started.append(spawn(["env", *variables, *uvicorn], log))
        wait_for(lambda log=log: "Application startup complete" in log.read_text(), "a server", 60)  # type: ignore[misc]
        clients.append(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
    yield clients
    for client in clients:
        client.close()
    for process in started:
        end(process)


def test_two_processes_give_one_answer(servers: list[httpx.Client]) -> None:
    answers = [client.get("/process") for client in servers for _ in range(2)]

    assert len({each.content for each in answers}) == 1
    assert [status_of(each).get("hit") for each in answers] == [None, True, True, True]
    assert 'desc="hit l2"' in answers[2].headers["server-timing"]


def test_two_processes_make_the_same_tag(servers: list[httpx.Client]) -> None:
    reload = {"cache-control": "no-cache"}

    tags = {client.get("/users/7", headers=reload).headers["etag"] for client in servers}
    (tag,) = tags
    answers = [
        client.get("/users/7", headers={"if-none-match": tag} | more) for client in servers for more in ({}, reload)
    ]

    assert [each.status_code for each in answers] == [304] * 4


def test_the_protocol_is_kept(servers: list[httpx.Client]) -> None:
    client = servers[0]

    whole = client.get("/head")
    short = [client.head("/head") for _ in range(2)]
    none = client.get("/head", headers={"if-none-match": "*"})
    stream = client.get("/stream")
    again = client.get("/head")  # on the same connection: nothing was left over

    assert [(each.content, each.headers["content-length"]) for each in short] == [(b"", str(len(whole.content)))] * 2
    assert (none.status_code, none.content, "content-length" in none.headers) == (304, b"", False)
    assert (stream.content, stream.headers["transfer-encoding"]) == (b"012", "chunked")
    assert again.content == whole.content

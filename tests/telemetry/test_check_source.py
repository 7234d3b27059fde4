"""Where a page may come from: a running application, other servers' answers, files, standard input."""

from __future__ import annotations

import base64
import gzip
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from otcache._exports.check import check
from otcache._exports.read import SourceError, lines
from tests.telemetry import real
from tests.telemetry.real import OPENMETRICS, ROOT

GIVES_UP: Final = 30.0
"""Seconds after which a server that never answers ends: a client without a limit fails its test."""

Answer = Callable[[socket.socket, bytes, threading.Event], None]
Serve = Callable[[Answer], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gets every request, as the socket, its head, and the event that the test is over."""
    over = threading.Event()
    servers: list[tuple[socketserver.ThreadingTCPServer, threading.Thread]] = []

    def start(answer: Answer) -> str:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(GIVES_UP)
                head = b""
                while b"\r\n\r\n" not in head and (more := self.request.recv(65_536)):
                    head += more
                try:
                    answer(self.request, head, over)
                except OSError:
                    return  # the client has gone

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/metrics"

    yield start
    over.set()
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def says(text: bytes) -> Answer:
    return lambda connection, head, over: connection.sendall(text)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


def refused(where: str, timeout: float = 20.0) -> str:
    with pytest.raises(SourceError) as error:
        check(where, timeout=timeout)
    return str(error.value)


# --- a running application ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def application() -> Iterator[str]:
    """The URL of the page of an application in a process of its own."""
    process = real.serve()
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    yield f"http://127.0.0.1:{port}/metrics"
    process.communicate(timeout=60)


def test_the_page_of_a_running_application_agrees(application: str) -> None:
    report = check(application, timeout=20.0)

    assert report.differences == ()
    assert report.samples > 50


def test_openmetrics_is_asked_for_and_anything_is_taken(application: str) -> None:
    last = list(lines(application, 20.0))[-1]

    assert last == "# EOF\n"


# --- how servers answer -------------------------------------------------------------------------------


def test_a_page_without_a_length_or_in_pieces_is_read(serve: Serve) -> None:
    body = real.page(OPENMETRICS).encode()
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:999], body[999:])) + b"0\r\n\r\n"

    for text in (answer(body), answer(pieces, "Transfer-Encoding: chunked")):
        assert check(serve(says(text)), timeout=20.0).differences == ()


def test_an_answer_ends_with_its_length_though_the_connection_stays(serve: Serve) -> None:
    body = real.page().encode()

    def keep(connection: socket.socket, head: bytes, over: threading.Event) -> None:
        connection.sendall(answer(body, f"Content-Length: {len(body)}"))
        over.wait(GIVES_UP)

    assert check(serve(keep), timeout=20.0).differences == ()


def test_a_user_in_the_url_becomes_basic_authentication(serve: Serve) -> None:
    heads = []

    def keep(connection: socket.socket, head: bytes, over: threading.Event) -> None:
        heads.append(head)
        connection.sendall(answer(real.page().encode()))

    check(serve(keep).replace("http://", "http://me:p%40ss@"), timeout=20.0)

    assert b"Authorization: Basic " + base64.b64encode(b"me:p@ss") in heads[0]
    assert b"p%40ss" not in heads[0]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_redirect_is_followed_and_the_password_stays_with_its_server(serve: Serve, elsewhere: bool) -> None:
    heads = []

    def page(connection: socket.socket, head: bytes, over: threading.Event) -> None:
        heads.append(head)
        target = other if elsewhere else "/metrics/"
        moved = answer(b"", f"Location: {target}", "Content-Length: 0", status="307 Temporary Redirect")
        connection.sendall(moved if b"GET /metrics " in head else answer(real.page().encode()))

    other = serve(page).replace("/metrics", "/moved")
    report = check(serve(page).replace("http://", "http://me:secret@"), timeout=20.0)

    assert report.differences == ()
    assert [b"Authorization" in head for head in heads] == [True, not elsewhere]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (answer(b"", status="404 Not\x1b[2J Found"), "the answer is 404 Not Found"),
        (answer(b"<h1>sorry</h1>", status="500 Oops"), "the answer is 500 Internal Server Error"),
        (answer(b"", status="799 Odd"), "the answer is 799"),
        (answer(b"<html></html>\n"), "it is HTML or XML, not a metrics page"),
        (answer(b""), "it is empty"),
        (answer(b"a 1\n", "Content-Length: 99"), "it can't be read: it is cut off"),
        (answer(b"9\r\na 1\n", "Transfer-Encoding: chunked"), "it can't be read: it is cut off"),
        (answer(b"\x80\x81\n"), "it can't be read: it is not UTF-8 text"),
        (b"-ERR unknown command \x1b[2J\r\n", "it can't be read: the answer is not HTTP"),
        (b"", "it can't be read: the server closed the connection without an answer"),
    ],
)
def test_an_answer_that_is_no_page_is_refused_with_the_reason(serve: Serve, text: bytes, reason: str) -> None:
    assert refused(serve(says(text))) == reason


def test_where_nobody_listens_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    assert refused(f"http://127.0.0.1:{port}/metrics") == "it can't be read: Connection refused"


def hangs(connection: socket.socket, head: bytes, over: threading.Event) -> None:
    over.wait(GIVES_UP)


def drips_headers(connection: socket.socket, head: bytes, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not over.wait(0.02):
        connection.sendall(b"x")


def drips(connection: socket.socket, head: bytes, over: threading.Event) -> None:
    connection.sendall(answer(b""))
    while not over.wait(0.02):
        connection.sendall(b"a 1\n")


def floods(connection: socket.socket, head: bytes, over: threading.Event) -> None:
    connection.sendall(answer(b""))
    while not over.is_set():
        connection.sendall(b"a 1\n" * 1000)


@pytest.mark.parametrize("slow", [hangs, drips_headers, drips, floods])
def test_a_server_that_never_ends_is_left_in_time(serve: Serve, slow: Answer) -> None:
    assert refused(serve(slow), timeout=0.3) == "it can't be read: it takes longer than 0.3 s"


@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@[::1/metrics",
        "http://me:hunter2@127.0.0.1:port/metrics",
        "http://me:hunter2/@127.0.0.1:1/metrics",
        "http://127.0.0.1:1/a b?password=hunter2 hunter2",
        "http://me:hunter2@" + "x" * 70 + ".example/metrics",
        "http://",
    ],
)
def test_what_is_no_url_is_refused_without_its_password(url: str) -> None:
    reason = refused(url)

    assert reason.startswith(("it is not a URL that can be fetched", "it can't be read: "))
    assert "hunter2" not in reason


# --- files --------------------------------------------------------------------------------------------


def test_a_file_may_be_gzipped_and_begin_with_a_mark(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "page.txt", tmp_path / "page.txt.gz"
    plain.write_bytes(b"\xef\xbb\xbf" + real.page().encode())
    zipped.write_bytes(gzip.compress(real.page().encode()))

    assert check(str(plain)) == check(str(zipped))
    assert check(str(plain)).agrees


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (gzip.compress(b"a 1\n", mtime=0)[:-9], "it can't be read: it is cut off"),
        (gzip.compress(b"a 1\n" * 99, mtime=0)[:-8] + bytes(8), "it can't be read: its compressed data are damaged"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0\xff\xff\xff", "it can't be read: its compressed data are damaged"),
        (b"\x7fELF\x02\x01\xff\xfe", "it can't be read: it is not UTF-8 text"),
        ("a 1\n".encode("utf-16"), "it can't be read: it is not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_page_is_refused_with_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    file = tmp_path / "page"
    file.write_bytes(data)

    assert refused(str(file)) == reason


def test_a_file_that_is_not_there_or_a_folder_is_said(tmp_path: Path) -> None:
    assert refused(str(tmp_path / "none")) == "it can't be read: No such file or directory"
    assert refused(str(tmp_path)) == "it can't be read: Is a directory"


MEASURED: Final = """
import resource, sys
from otcache._exports.check import check
report = check(sys.argv[1])
print(report.agrees, report.samples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(file: Path) -> tuple[str, int, int]:
    """Whether it agrees, its samples, and the MiB that a process needs at most to check it."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, file], env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT, timeout=300,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    agrees, samples, kilobytes = done.stdout.split()
    return agrees, int(samples), int(kilobytes) // 1024


@pytest.mark.parametrize("megabytes", [10, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.parametrize("form", ["page", "otlp"])
def test_a_large_file_needs_no_more_memory_than_a_small_one(tmp_path: Path, form: str, megabytes: int) -> None:
    part = real.page() if form == "page" else json.dumps(real.otlp()) + "\n"
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text(part)
    with large.open("w") as file:
        for _ in range(megabytes * 1_000_000 // len(part) + 1):
            file.write(part)

    few, many = peak(small), peak(large)

    assert large.stat().st_size >= megabytes * 1_000_000
    assert (few[0], many[0]) == ("True", "True")
    assert many[1] > 10 * megabytes * few[1]
    assert many[2] - few[2] < 5, "MiB"


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "page"
    with file.open("wb") as whole:
        whole.truncate(65 * 2**20)

    assert refused(str(file)) == "it can't be read: a line is longer than 67108864 characters"

"""Small HTTP servers on free loopback ports, in threads of this process, and questions to others."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.servers import READY_SECONDS

_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Never through a proxy that the environment names: everything is on this machine."""


class Request(NamedTuple):
    """What somebody asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Answer(NamedTuple):
    """What they get."""

    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


class Arrivals:
    """A condition that the threads of a server tell of what came, and that a test waits on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def arrival(self) -> Iterator[None]:
        """Change inside what a test waits for; it looks again after."""
        with self._changed:
            yield
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
        """Return as soon as `condition` holds; it is asked again at each arrival.

        Raises:
            TimeoutError: It did not within `seconds`.
        """
        with self._changed:
            if not self._changed.wait_for(condition, seconds):
                raise TimeoutError(f"{what} not within {seconds} s")


class WebServer(Arrivals):
    """An HTTP server; a subclass answers. Use it as a context manager.

    Attributes:
        url: Where it is.
    """

    def __init__(self) -> None:
        super().__init__()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._serve(self)

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False  # a scraper keeps its connection open
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self._server.server_address[1])

    def answer(self, request: Request) -> Answer:
        """What to answer; called in a thread of the server's."""
        raise NotImplementedError

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        answer = self.answer(Request(handler.command, handler.path, dict(handler.headers.items()), body))
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.content_type)
        handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Page(WebServer):
    """A /metrics page that a test writes.

    Args:
        text: The page; in OpenMetrics it must end with `# EOF`.
        content_type: The text format 0.0.4, or `OPENMETRICS`.
    """

    def __init__(self, text: str, content_type: str = "text/plain; version=0.0.4; charset=utf-8") -> None:
        super().__init__()
        self.text = text
        self._content_type = content_type

    def answer(self, request: Request) -> Answer:
        return Answer(self.text.encode(), self._content_type)


class Webhook(WebServer):
    """A receiver of Alertmanager's notifications.

    Attributes:
        received: Every notification, in the order of their arrival.
    """

    def __init__(self) -> None:
        super().__init__()
        self.received: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Answer:
        with self.arrival():
            self.received.append(json.loads(request.body))
        return Answer()

    def alerts(self, name: str, status: str = "firing") -> list[dict[str, Any]]:
        """The alerts of a name that have been told of, each with its `labels` and `annotations`."""
        alerts = (alert for notification in self.received for alert in notification["alerts"])
        return [each for each in alerts if each["labels"]["alertname"] == name and each["status"] == status]

    def wait_for_alert(self, name: str, status: str = "firing", seconds: float = READY_SECONDS) -> dict[str, Any]:
        """The first alert of a name, when it comes."""
        self.wait_for(lambda: bool(self.alerts(name, status)), f"alert {name} {status}", seconds)
        return self.alerts(name, status)[0]


def fetch(url: str, parameters: Mapping[str, str | Sequence[str]] | None = None, *, post: bool = False) -> bytes:
    """The body of an answer; an error's message holds the body too.

    Raises:
        OSError: Nobody answers.
        RuntimeError: The answer is an error.
    """
    query = urllib.parse.urlencode(parameters or {}, doseq=True)
    request = urllib.request.Request(f"{url}?{query}" if query else url, method="POST" if post else "GET")
    try:
        with _DIRECT.open(request, timeout=READY_SECONDS) as answer:
            body: bytes = answer.read()
    except urllib.error.HTTPError as exc:
        with exc:
            raise RuntimeError(f"{url} answered {exc.code}: {exc.read()[:500]!r}") from None
    return body


def answers(url: str) -> bool:
    """Whether a GET is answered with a success."""
    try:
        fetch(url)
    except (OSError, RuntimeError):
        return False
    return True

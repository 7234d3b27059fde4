"""A Prometheus that is away, slow, refuses, or is none: one sentence that says so, without credentials."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from otcache._exports.read import SourceError
from otcache.exceptions import ConfigurationError
from otcache.regression._model import CounterWindow, Explicit, HistogramWindow, SeriesKey
from otcache.regression._sources import Reading, Selection
from otcache.regression._sources import prometheus_api as api
from otcache.regression._sources.prometheus import Prometheus
from otcache.regression._sources.prometheus_api import Access
from otcache.telemetry import catalog
from tests.rows import every
from tests.servers import Certificates, silent_port

Answer = Callable[..., str]
Serve = Callable[..., str]
START = 1_790_000_040.0
LOOKUPS = Selection(START, START + 120, 60.0, (catalog.LOOKUPS,))
HITS = {"__name__": "otcache_lookups_total", "otcache_cache_name": "users", "otcache_result": "hit"}


def ask(url: str, access: Access | None = None, selection: Selection = LOOKUPS) -> Reading:
    return Prometheus(url, access).read(selection)


def success(result: list[Any], **more: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}, **more})


def series(*values: tuple[float, str]) -> list[Any]:
    return [{"metric": HITS, "values": [[START + after, value] for after, value in values]}]


def refusal(message: str, kind: str = "execution") -> str:
    return json.dumps({"status": "error", "errorType": kind, "error": message})


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (refusal("query timed out", "timeout"), 503, "answers 503, timeout: query timed out"),
        (refusal("parse error", "bad_data"), 422, "answers 422, bad_data: parse error"),
        (refusal("oops"), 200, "answers 200, execution: oops"),
        ("<html>login</html>", 200, "answers 200 with HTML: is this the address of a Prometheus?"),
        ("<html>gateway</html>", 502, "answers 502 with HTML: is this the address of a Prometheus?"),
        ("", 200, "answers 200 with nothing: is this the address of a Prometheus?"),
        (success(series((0, "1")))[:-20], 200, "answers 200 with JSON that is cut off or no answer: is this"),
        ("[1, 2]", 200, "answers 200 with JSON that is cut off or no answer: is this"),
        ("[" * 100_000, 200, "answers 200 with JSON that is cut off or no answer: is this"),
        ('{"status": "success"}', 200, "answers success without data"),
        ('{"status": "success", "data": {"resultType": "vector", "result": []}}', 200, "another type than a matrix"),
        (success(series((0, "NaN"), (60, "NaN"))), 200, "answers nothing but NaN for otcache_lookups_total"),
    ],
)
def test_an_answer_that_is_none_is_said_in_one_sentence(answer: Answer, body: str, status: int, sentence: str) -> None:
    url = answer(body, status)

    with pytest.raises(SourceError) as caught:
        ask(url)

    assert str(caught.value).startswith(f"Prometheus at {url} ")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "result",
    [
        series((60, "1"), (0, "2")),
        series((60, "many")),
        [{"metric": HITS, "values": [[START]]}],
        [{"values": [[START, "1"]]}],
        [7],
    ],
)
def test_series_of_another_shape_or_order_are_refused(answer: Answer, result: list[Any]) -> None:
    with pytest.raises(SourceError, match="answers series of otcache_lookups_total in another shape"):
        ask(answer(success(result)))


def test_one_that_is_away_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(
        SourceError, match=f"Prometheus at http://127.0.0.1:{port} can't be reached: Connection refused"
    ):
        ask(f"http://127.0.0.1:{port}")


def test_one_that_never_answers_is_given_up() -> None:
    with silent_port() as port, pytest.raises(SourceError, match=r"does not answer within 0\.2 s"):
        ask(f"http://127.0.0.1:{port}", Access(timeout=0.2))


def test_one_that_sends_a_byte_now_and_then_is_given_up(serve: Serve) -> None:
    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "10000")
        request.end_headers()
        for _ in range(1000):
            request.wfile.write(b" ")
            time.sleep(0.05)

    began = time.monotonic()
    with pytest.raises(SourceError, match=r"does not answer within 0\.3 s"):
        ask(serve(drip), Access(timeout=0.3))

    assert time.monotonic() - began < 25  # of the fifty that it drips


def test_an_answer_that_is_cut_off_is_said(answer: Answer) -> None:
    with pytest.raises(SourceError, match="its answer is cut off"):
        ask(answer(success(series((0, "1"))), 200, {"Content-Length": "100000"}))


def test_what_is_not_http_is_said(serve: Serve) -> None:
    url = serve(lambda request: request.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n"))

    with pytest.raises(SourceError, match="what it answers is not HTTP"):
        ask(url)


def test_a_redirect_is_not_followed(answer: Answer) -> None:
    with pytest.raises(SourceError, match="answers 302, a redirect: is this its address, or must one log in"):
        ask(answer("", 302, {"Location": "http://127.0.0.1:1/login"}))


def test_an_answer_that_is_too_large_is_asked_for_in_halves(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "LARGEST", 2000)
    asked: list[str] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        body = (success([]) + " " * (3000 if len(asked) < 3 else 0)).encode()
        request.send_response(200)
        request.end_headers()
        request.wfile.write(body)

    reading = ask(serve(handle))

    assert reading == Reading({})
    assert len(asked) == 5  # whole, half, quarter, quarter, half


def test_too_many_samples_even_in_one_step_is_said(answer: Answer) -> None:
    with pytest.raises(SourceError, match="too many samples into memory"):
        ask(answer(refusal("query processing would load too many samples into memory in query execution"), 422))


def test_warnings_and_infos_become_notes(answer: Answer) -> None:
    url = answer(success([], warnings=["a store is away"], infos=["not a counter?"]))

    reading = ask(url)

    assert reading.notes == (
        f"Prometheus at {url} says: a store is away",
        f"Prometheus at {url} says: not a counter?",
    )


# --- credentials ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "access", "header"),
    [
        ("me:s3cret%40@", None, "Basic bWU6czNjcmV0QA=="),
        ("", Access(user="me", password="s3cret@"), "Basic bWU6czNjcmV0QA=="),
        ("", Access(token="s3cret@"), "Bearer s3cret@"),
        ("", Access(tenant="shop"), None),
    ],
)
def test_credentials_go_into_headers_and_never_into_errors(
    serve: Serve, prefix: str, access: Access | None, header: str | None
) -> None:
    seen: list[Any] = []

    def handle(request: BaseHTTPRequestHandler) -> None:
        seen.append((request.headers["Authorization"], request.headers["X-Scope-OrgID"]))
        body = refusal(f"no: s3cret@ {request.headers['Authorization']}", "unauthorized").encode()
        request.send_response(401)
        request.end_headers()
        request.wfile.write(body)

    url = serve(handle).replace("http://", f"http://{prefix}")
    with pytest.raises(SourceError, match="answers 401, unauthorized: no: ") as caught:
        ask(url, access)

    assert seen == [(header, "shop" if header is None else None)]
    if header is not None:
        assert "s3cret" not in str(caught.value)
        assert "bWU6" not in str(caught.value)
    assert "s3cret" not in repr(access)


@every(
    ("url", "access"),
    [
        ("ftp://prometheus", {}),
        ("http://", {}),
        ("http://host:port", {}),
        ("http://me:pass@host/?token=s3cret", {}),
        ("http://ho st", {}),
        ("http://me:pass@host", {"token": "t"}),
        ("http://host", {"user": "me", "token": "t"}),
        ("http://host", {"token": "t\r\nX-Evil: 1"}),
        ("http://host", {"timeout": 0.0}),
        ("https://host", {"ca_file": "/nowhere"}),
    ],
)
def test_an_address_or_access_that_can_not_be_is_refused_without_showing_it(url: str, access: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Prometheus(url, Access(**access))

    assert "pass" not in str(caught.value).replace("password", "")
    assert "s3cret" not in str(caught.value)


def test_a_certificate_is_checked_against_the_given_file(serve: Serve, tmp_path: Path) -> None:
    certificates, context = Certificates(tmp_path), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.cert, certificates.key)

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(success([]).encode())

    url = serve(handle, context)
    reading = ask(url, Access(ca_file=str(certificates.ca)))

    assert reading == Reading({})
    with pytest.raises(SourceError, match=r"certificate verify failed|CERTIFICATE_VERIFY_FAILED"):
        ask(url)


# --- captured answers -----------------------------------------------------------------------------------


def test_buckets_of_a_custom_layout_become_explicit_ones(answer: Answer) -> None:
    first = {"count": "3", "sum": "0.3", "buckets": [[0, "0.05", "0.1", "2"], [0, "0.5", "+Inf", "1"]]}
    later = {
        "count": "6",
        "sum": "0.9",
        "buckets": [[0, "0.05", "0.1", "2"], [0, "0.1", "0.5", "3"], [0, "0.5", "+Inf", "1"]],
    }
    metric = {"__name__": "otcache_operation_duration_seconds"}
    url = answer(success([{"metric": metric, "histograms": [[START, first], [START + 60, later]]}]))

    reading = ask(url, selection=Selection(START, START + 60, 60.0, (catalog.OPERATION_DURATION,)))

    (found,) = next(iter(reading.series.values()))
    assert isinstance(found, HistogramWindow)
    assert (found.layout, found.count, found.counts) == (Explicit((0.05, 0.1, 0.5)), 3, {2: 3})


def test_names_with_dots_are_the_same_metric(answer: Answer) -> None:
    metric = {"__name__": "otcache.lookups_total", "otcache.cache.name": "users", "otcache.result": "hit"}
    url = answer(success([{"metric": metric, "values": [[START, "1"], [START + 60, "4"]]}]))

    reading = ask(url)

    key = SeriesKey("otcache.lookups", frozenset([("otcache.cache.name", "users")]))
    assert reading.series == {key: (CounterWindow(START, START + 60, {"hit": 3}),)}

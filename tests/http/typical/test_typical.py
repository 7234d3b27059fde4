"""Which routes of a typical application are cached, and why the others are not: the table in docs/keys.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from tests.http.typical.application import Tenants, Timing, build, router

DOCS: Final = Path(__file__).parents[3] / "docs" / "keys.md"
BEGIN, END = "<!-- typical application: begin -->", "<!-- typical application: end -->"


def status_of(client: TestClient, method: str, path: str) -> str:
    """Ask twice, as the same user, and return what the cache says of the second answer."""
    headers = {"authorization": "Bearer token-ann"} if path.startswith(("/orders", "/news")) else {}
    content: dict[str, Any] = {"json": ["pen"]} if method == "POST" else {}
    for _ in range(2):
        client.cookies.clear()
        answer = client.request(method, path.replace("{product_id}", "1"), headers=headers, **content)
        assert answer.status_code == 200
    return _said(answer.headers["cache-status"])


def _said(status: str) -> str:
    return "cached" if "; hit" in status else f"`{status.partition('detail=')[2]}`"


def routes() -> list[tuple[str, str]]:
    """Return the method and the path of each cached route."""
    return [(min(route.methods or ()), route.path) for route in router.routes if isinstance(route, APIRoute)]


def column(*middleware: Any) -> dict[tuple[str, str], str]:
    """Return what becomes of each route with this middleware."""
    app = build(*middleware)
    with TestClient(app) as client:
        return {route: status_of(client, *route) for route in routes()}


def table() -> str:
    """Return the table in the docs."""
    known, foreign, marked = column(), column(Tenants), column(Timing)
    lines = ["| route | CORS and GZip | and a middleware that nobody knows | and one marked `input_free` |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| `{' '.join(route)}` | {known[route]} | {foreign[route]} | {marked[route]} |" for route in known]
    return "\n".join(lines)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_table_in_the_docs_is_what_happens() -> None:
    shown = DOCS.read_text().partition(BEGIN)[2].partition(END)[0].strip()

    print(made := table())  # noqa: T201  to be copied into the docs
    assert shown == made

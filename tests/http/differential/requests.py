"""Requests of three users: what tells them apart is drawn per request, and so is how it is spelt."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

import httpx

USERS = ("alice", "bob", "carol")


@dataclass
class Draft:
    """A request that is being made up."""

    user: str
    method: str = "GET"
    path: str = "/"
    host: str = "testserver"
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[tuple[str, str]] = field(default_factory=list)
    body: Any = None

    def send_by(self, client: httpx.AsyncClient) -> Any:
        """Begin the request; httpx sends repeated headers as they are."""
        headers = [("host", self.host), *self.headers]
        if self.cookies:
            headers.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies)))
        content = None
        if self.body is not None:
            headers.append(("content-type", "application/json"))
            content = json.dumps(self.body).encode()
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in self.query)
        url = f"http://{self.host}{self.path}" + (f"?{query}" if query else "")
        return client.request(self.method, url, headers=headers, content=content)


Knob = Callable[[Random, Draft], None]
"""Something that a request may say: it adds it to a draft, or leaves it out."""


def one_of(rng: Random, draft: Draft) -> str:
    """Return the user, mostly, or a value that several requests share."""
    return rng.choice((draft.user, draft.user, draft.user, "x", "", f"{draft.user} %2F&é"))


def header(*names: str) -> Knob:
    """One of these headers, in either case, sometimes twice."""

    def turn(rng: Random, draft: Draft) -> None:
        if rng.random() < 0.85:
            name = rng.choice(names)
            value = one_of(rng, draft).encode("ascii", "replace").decode()
            draft.headers.append((name.upper() if rng.random() < 0.2 else name, value))
            if rng.random() < 0.1:
                draft.headers.append((name, "second"))

    return turn


def bearer(rng: Random, draft: Draft) -> None:
    """A token in Authorization."""
    if rng.random() < 0.9:
        draft.headers.append(("authorization", f"Bearer {draft.user}"))


def query(*names: str) -> Knob:
    """One of these parameters, sometimes twice."""

    def turn(rng: Random, draft: Draft) -> None:
        if rng.random() < 0.85:
            name = rng.choice(names)
            draft.query.append((name, one_of(rng, draft)))
            if rng.random() < 0.15:
                draft.query.append((name, "second"))

    return turn


def cookie(*names: str) -> Knob:
    """One of these cookies."""

    def turn(rng: Random, draft: Draft) -> None:
        if rng.random() < 0.85:
            draft.cookies.append((rng.choice(names), rng.choice((draft.user, draft.user, "x"))))

    return turn


def body(rng: Random, draft: Draft) -> None:
    """A JSON object."""
    draft.body = {"owner": rng.choice((draft.user, "x"))}


def noise(rng: Random, draft: Draft) -> None:
    """What nobody reads, mostly."""
    for add in rng.sample((header("x-noise", "accept-language"), query("utm"), cookie("ga"), bearer), k=1):
        if rng.random() < 0.3:
            add(rng, draft)

"""Applications made at random answer three users in turn as they do without the cache, or pass by with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from random import Random
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, Query, Request, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.testclient import TestClient

from otcache import InMemoryCache
from otcache.dependencies import get_web_cache_service
from otcache.http import cached_endpoint

WHO: ContextVar[str] = ContextVar("who_at_random", default="")
USERS = ("ann", "bob", "")


def by_header(x_user: Annotated[str, Header()] = "") -> str:
    return x_user


def by_real_name(x_user: Annotated[str, Header(convert_underscores=False)] = "") -> str:
    return x_user


def by_cookie(user: Annotated[str, Cookie()] = "") -> str:
    return user


def by_query(user: Annotated[str, Query(alias="u")] = "") -> str:
    return user


def by_request(request: Request) -> str:
    return request.headers.get("x-user", "") + request.cookies.get("user", "")


def by_scheme(key: Annotated[str | None, Security(APIKeyHeader(name="x-user", auto_error=False))]) -> str:
    return key or ""


def by_token(token: Annotated[Any, Security(HTTPBearer(auto_error=False))]) -> str:
    return token.credentials if token else ""


def by_context() -> str:
    return WHO.get()


def by_generator(x_user: Annotated[str, Header()] = "") -> Iterator[str]:
    yield x_user


class ByClass:
    def __init__(self, user: Annotated[str, Cookie()] = "") -> None:
        self.user = user

    def __str__(self) -> str:
        return self.user


def settings() -> str:
    return "settings"


LEAVES: tuple[Callable[..., Any], ...] = (
    by_header, by_real_name, by_cookie, by_query, by_request, by_scheme, by_token, by_context, by_generator, ByClass,
    settings, settings, settings,
)  # fmt: skip


class Context:
    """A middleware that finds out by a header who asks."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        WHO.set(dict(scope.get("headers", ())).get(b"x-user", b"").decode())
        await self.app(scope, receive, send)


MIDDLEWARE: tuple[Any, ...] = (CORSMiddleware, GZipMiddleware, Context)


def dependency(random: Random, depth: int) -> Callable[..., Any]:
    """A leaf, or what depends on two others."""
    if depth == 0 or random.random() < 0.4:
        return random.choice(LEAVES)
    one, other = dependency(random, depth - 1), dependency(random, depth - 1)
    again = random.random() < 0.5

    def both(one: Any = Depends(one, use_cache=again), other: Any = Depends(other)) -> str:
        return f"({one} {other})"

    return both


def application(seed: int, wrap: Callable[[Any], Any]) -> FastAPI:
    """The application of this number, its endpoint wrapped or not."""
    random, cache = Random(seed), InMemoryCache()
    app, router = FastAPI(), APIRouter()
    app.dependency_overrides[get_web_cache_service] = lambda: cache
    needed = dependency(random, 2)

    async def endpoint(who: Any = Depends(needed)) -> str:
        return str(who)

    router.get("/mine")(wrap(endpoint))
    app.include_router(router)
    for kind in random.sample(MIDDLEWARE, random.choice([0, 0, 1, 2])):
        app.add_middleware(kind)
    if random.random() < 0.3:
        app.dependency_overrides[random.choice(LEAVES)] = random.choice(LEAVES[:5])
    if random.random() < 0.3:
        outer = FastAPI()
        outer.add_middleware(random.choice(MIDDLEWARE))
        outer.mount("", app)
        return outer
    return app


def request(random: Random) -> dict[str, Any]:
    """One by one of the users, who says so in one or two of the ways."""
    user = random.choice(USERS)
    ways: list[dict[str, Any]] = [
        {"headers": {"x-user": user}}, {"headers": {"x_user": user}}, {"headers": {"cookie": f"user={user}"}},
        {"headers": {"authorization": f"Bearer {user or 'x'}"}}, {"params": {"u": user}}, {},
    ]  # fmt: skip
    one, other = random.choice(ways), random.choice(ways)
    return {
        "headers": one.get("headers", {}) | other.get("headers", {}),
        "params": one.get("params", {}) | other.get("params", {}),
    }


def compare(seed: int, requests: int) -> Iterator[str]:
    """Yield what the cache says of each request, having compared the answers."""
    random = Random(seed)
    plain, kept = application(seed, lambda endpoint: endpoint), application(seed, cached_endpoint(ttl=60))
    with TestClient(plain) as without, TestClient(kept) as with_cache:
        for sent in [request(random) for _ in range(requests)]:
            expected, answer = without.get("/mine", **sent), with_cache.get("/mine", **sent)
            assert (seed, sent, answer.text) == (seed, sent, expected.text)
            status = answer.headers["cache-status"]
            yield status.rpartition("detail=")[2] if "detail=" in status else status.split("; ")[1]


REASONS = ("hit", "unknown-dependency", "unknown-middleware", "credentials")


def test_applications_answer_as_they_do_without_the_cache() -> None:
    said = Counter(each for seed in range(30) for each in compare(seed, 20))

    assert min(said[each] for each in REASONS) > 0


@pytest.mark.long
def test_so_do_two_thousand_applications() -> None:
    said = Counter(each for seed in range(2000) for each in compare(seed, 10))

    assert min(said[each] for each in REASONS) > 0

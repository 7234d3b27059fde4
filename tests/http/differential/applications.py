"""Applications made up at random, each twice from one seed: with the cache and without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import Parameter
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from otcache import CacheConfig, install_cache
from otcache.http import cached_endpoint
from tests.cases.expected import unless_refused
from tests.http.differential import requests as say
from tests.http.differential.parts import (
    AMBIENT,
    Dice,
    Part,
    as_coroutine,
    as_it_is,
    draw,
    function_of,
    knobs_of,
    signed,
    vary_of,
)

Decorate = Callable[..., Callable[[Any], Any]]


class Application:
    """One application.

    Attributes:
        app: It.
        change: Overrides a dependency from now on.
    """

    def __init__(self, seed: int, *, cached: bool) -> None:
        rng = self._rng = Dice(seed)
        self.app = FastAPI(dependencies=_guards(rng, 0.1))
        self._knobs: list[say.Knob] = []
        self._paths: list[tuple[str, str]] = []
        self._override = [draw(rng, 2)]
        self._decorate = cached_endpoint if cached else _without_cache
        homes = [self._home(at) for at in range(rng.choice((1, 1, 2)))]
        for home, prefix, host in homes:
            self._route(home, prefix, host)
        self._add_middleware()
        self._apps = [self.app, *[home for home, _, _ in homes if isinstance(home, FastAPI) and home is not self.app]]
        for app in self._apps if cached else ():
            install_cache(app, config=CacheConfig(name=f"random-{seed}"))
        self._replaced = [rng.choice(rng.calls)] if rng.calls and rng.random() < 0.4 else []

    def change(self) -> None:
        """Override a dependency from now on, in every part."""
        for app in self._apps:
            app.dependency_overrides.update({call: function_of(self._override, prefix="o") for call in self._replaced})

    def request(self, rng: Dice, user: str) -> say.Draft:
        """Make up a request that this application may understand."""
        draft = say.Draft(user)
        draft.host, path = rng.choice(self._paths)
        draft.path = path.replace("{item}", rng.choice((user, "1", "a%2Fb", "1")))
        draft.method = rng.choice(("GET", "GET", "GET", "GET", "GET", "POST", "HEAD"))
        for turn in (*self._knobs, say.noise):
            turn(rng, draft)
        return draft

    # --- its parts ----------------------------------------------------------------------------------------

    def _home(self, at: int) -> tuple[Any, str, str]:
        """Return where a route stands: the application, a router, or an application below this one."""
        kind = self._rng.choice(("app", "app", "router", "mounted", "host"))
        if kind == "router":
            return APIRouter(prefix=f"/r{at}", dependencies=_guards(self._rng, 0.3)), f"/r{at}", "testserver"
        if kind == "app":
            return self.app, "", "testserver"
        below = FastAPI(dependencies=_guards(self._rng, 0.2))
        if kind == "mounted":
            self.app.mount(f"/m{at}", below)
            return below, f"/m{at}", "testserver"
        self.app.host(f"h{at}.test", below)
        return below, "", f"h{at}.test"

    def _route(self, home: Any, prefix: str, host: str) -> None:
        rng = self._rng
        parts = [draw(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        path = rng.choice(("/", "/x/{item}", "/y/{item:path}"))
        endpoint = self._cached(_endpoint(rng, parts, "{" in path), parts)
        methods = rng.choice((["GET"], ["GET"], ["GET", "POST"], ["GET", "HEAD"]))
        home.add_api_route(path, endpoint, methods=methods, dependencies=_guards(rng, 0.2), response_model=None)
        if isinstance(home, APIRouter):
            self.app.include_router(home, dependencies=_guards(rng, 0.2))
        self._knobs += knobs_of(parts)
        self._paths.append((host, prefix + path.replace(":path", "")))

    def _cached(self, endpoint: Any, parts: list[Part]) -> Any:
        """Return the endpoint, cached as its author could have written it: what is declared is right."""
        rng = self._rng
        options: dict[str, Any] = {"ttl": 60, "statuses": {200: None, 201: 60, 404: 60}}
        said = rng.choice(("nothing", "nothing", "vary", "private_by"))
        if said == "vary":
            # also what middleware reads, and what takes a dependency's place later
            options["vary"] = (*vary_of([*parts, *self._override]), "x-user")
        elif said == "private_by":
            options["private_by"] = _everything
        if rng.random() < 0.3:
            options["methods"] = ("GET", "POST")
        if rng.random() < 0.2:
            options["respect_request"] = True
        return unless_refused(self._decorate(**options))(endpoint)

    def _add_middleware(self) -> None:
        rng = self._rng
        known = ((CORSMiddleware, {"allow_origins": ["*"]}), (GZipMiddleware, {"minimum_size": 1}))
        for kind, options in (*known, (TrustedHostMiddleware, {"allowed_hosts": ["*"]})):
            if rng.random() < 0.2:
                self.app.add_middleware(kind, **options)
        if rng.random() < 0.15:
            self.app.add_middleware(WhoAsks)
        elif rng.random() < 0.15:
            self.app.middleware("http")(_who_asks)


def _without_cache(**_: Any) -> Callable[[Any], Any]:
    return lambda endpoint: endpoint


def _everything(request: Request) -> str:
    """Return all that a request has, as its owner: whatever decides is in it."""
    return f"{request.url} {sorted(request.headers.raw)} {request.scope.get('user')}"


def _guards(rng: Dice, share: float) -> list[Any]:
    """Return dependencies that only let some in."""
    if rng.random() > share:
        return []
    inner: Any = function_of([draw(rng, 2)], prefix="g")

    def guard(**given: Any) -> None:
        if "bob" in repr(inner(**given)):
            raise HTTPException(403, "bob may not")

    rng.calls.append(guard)
    return [Depends(signed(guard, list(inner.__signature__.parameters.values())))]


# --- endpoints --------------------------------------------------------------------------------------------


def _endpoint(rng: Dice, parts: list[Part], has_item: bool) -> Any:
    inner: Any = function_of(parts)
    parameters = list(inner.__signature__.parameters.values())
    parameters.append(Parameter("injected", Parameter.KEYWORD_ONLY, annotation=Response))
    if has_item:
        parameters.append(Parameter("item", Parameter.KEYWORD_ONLY, annotation=str))
    end = rng.choice(_ENDS)

    def endpoint(*, injected: Response, item: str = "", **given: Any) -> Any:
        return end({"item": item, **inner(**given)}, injected)

    return rng.choice((as_it_is, as_coroutine, as_coroutine, _object, partial))(signed(endpoint, parameters))


def _object(function: Any) -> Any:
    class Endpoint:
        async def __call__(self, **given: Any) -> Any:
            return function(**given)

    made: Any = Endpoint()
    return signed(made, list(function.__signature__.parameters.values()))


def _json(shown: Any, _: Response) -> Any:
    return shown


def _text(shown: Any, _: Response) -> Any:
    return PlainTextResponse(repr(shown))


def _own_rules(shown: Any, _: Response) -> Any:
    text = repr(shown)
    control = ("max-age=5", "private", "no-store", "public, max-age=0", "no-cache")[len(text) % 5]
    return JSONResponse(shown, headers={"cache-control": control, "x-length": str(len(text))})


def _own_cookie(shown: Any, injected: Response) -> Any:
    injected.headers["x-says"] = repr(shown).encode("ascii", "replace").hex()
    if "alice" in repr(shown):
        injected.set_cookie("seen", "alice")
    return shown


def _missing(shown: Any, _: Response) -> Any:
    raise HTTPException(404, {"none for": repr(shown)}, {"x-none": str(len(repr(shown)))})


def _created(shown: Any, injected: Response) -> Any:
    injected.status_code = 201
    return shown


_ENDS: tuple[Callable[[Any, Response], Any], ...] = (
    _json,
    _json,
    _json,
    _text,
    _own_rules,
    _own_cookie,
    _missing,
    _created,
)


# --- middleware that nobody knows -------------------------------------------------------------------------


class WhoAsks:
    """Tells the endpoint who asks, in three places that no signature shows."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            user = dict(scope["headers"]).get(b"x-user", b"nobody").decode("latin-1")
            scope.setdefault("state", {})["user"] = user
            scope["user"] = user
            AMBIENT.set(user)
        await self._app(scope, receive, send)


async def _who_asks(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    request.state.user = request.headers.get("x-user", "nobody")
    AMBIENT.set(request.state.user)
    return await call_next(request)

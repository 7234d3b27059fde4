"""`cache_response`: a decorator for path operations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from otcache.cache import Cache
from otcache.dependencies import get_web_cache_service
from otcache.dependencies._registry import ByIdentity
from otcache.exceptions import ConfigurationError
from otcache.http._background_refresh import rerun_of
from otcache.http._exchange import Exchange, Injected
from otcache.http._policy import Policy
from otcache.http._routes import Route, read_route, selected

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_PARAMETER: Final = "otcache_exchange"
"""The parameter that is added to an endpoint's."""


def cache_response(
    ttl: int | None = None,
    *,
    tags: Iterable[str] = (),
    vary: Iterable[str] = (),
    query: Iterable[str] | None = None,
    methods: Iterable[str] = ("GET",),
    private_by: str | Callable[[Request], Any] | None = None,
    shared: bool = False,
    statuses: Mapping[int, int | None] | None = None,
    stale_ttl: int | None = None,
    timeout: float | None = None,
    body_limit: int = 65_536,
    without_headers: Iterable[str] = (),
    respect_request: bool = True,
    cache_status: str | None = "otcache",
    server_timing: bool = True,
    cache: Callable[..., Any] = get_web_cache_service,
) -> Callable[[Endpoint], Endpoint]:
    """Answer a path operation from the cache: `@app.get(...)` over `@cache_response(ttl=60)`.

    Dependencies run before it for every request, authorisation included; docs/http.md says what is kept and sent.

    Args:
        ttl: Seconds that an answer stays fresh, 0 for ever; `None` takes the cache's. An answer with a `max-age`
            of its own takes that.
        tags: To invalidate by, with the endpoint's parameters in braces: `"user:{user_id}"`.
        vary: Request headers that answers depend on; those that the endpoint or a dependency declares are added.
        query: Query parameters that answers depend on; `None`: those that are declared, or all of them where the
            endpoint or a dependency takes the whole `Request`.
        methods: Of GET (HEAD is answered by that) and POST (the body becomes part of the key).
        private_by: Whose the answers are: a parameter of the endpoint (`"user_id"`, `"user.id"`), or a function of
            the request. Without it, requests with credentials pass by the cache.
        shared: Requests with credentials get the same answers as all others.
        statuses: Which answers are kept, and for how many seconds (`None`: `ttl`); {200: None} by default.
        stale_ttl: Seconds past its time that an answer may be given while a new one is made, or if that fails;
            `None` takes the cache's.
        timeout: Seconds after which nobody waits for another request's answer; `None` takes the cache's.
        body_limit: Bytes; requests with a larger body pass by the cache.
        without_headers: Headers that are not kept, such as the number of a request.
        respect_request: Whether the request's Cache-Control counts.
        cache_status: Our name in the Cache-Status header; `None` for no such header.
        server_timing: Whether there is a Server-Timing header.
        cache: The dependency that gives the cache.

    Raises:
        ConfigurationError: It can't work like this: a value outside its range, a tag that names no parameter, or an
            endpoint that yields.
    """
    policy = Policy(
        ttl=ttl,
        tags=tuple(tags),
        vary=_headers(vary),
        query=None if query is None else frozenset(query),
        methods=frozenset(method.upper() for method in methods),
        private_by=private_by,
        shared=shared,
        statuses={200: None} if statuses is None else dict(statuses),
        stale_ttl=stale_ttl,
        timeout=timeout,
        body_limit=body_limit,
        without_headers=frozenset(_headers(without_headers)),
        respect_request=respect_request,
        cache_status=cache_status,
        server_timing=server_timing,
    )
    return lambda endpoint: _wrap(endpoint, policy, cache)


def _headers(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)


def _wrap(endpoint: Endpoint, policy: Policy, cache: Callable[..., Any]) -> Endpoint:
    if inspect.isgeneratorfunction(endpoint) or inspect.isasyncgenfunction(endpoint):
        raise ConfigurationError("an endpoint that yields has no whole answer to keep")
    signature = _signature(endpoint)
    policy.check(signature.parameters)
    exchange = _exchange_by(cache)
    route_of: ByIdentity[Any, Route] = ByIdentity(lambda route: read_route(route, exchange))

    @functools.wraps(endpoint)
    async def cached(*args: Any, **kwargs: Any) -> Any:
        given = kwargs.pop(_PARAMETER, None)
        if not isinstance(given, Injected):  # called by hand, without a request
            made = endpoint(*args, **kwargs)
            return await made if inspect.isawaitable(made) else made
        visit = Exchange(policy, endpoint, route_of(selected(given.request.scope)), given, kwargs)
        rerun = rerun_of(given.request)
        if rerun is None:
            return await visit.answer()
        rerun.made = await visit.make()
        return Response(status_code=204)  # to nobody

    cached.__signature__ = _with_exchange(signature, exchange)  # type: ignore[attr-defined]
    return cast("Endpoint", cached)


def _signature(endpoint: Callable[..., Any]) -> inspect.Signature:
    """With annotations as objects where they can be found: FastAPI would look for their names in our module."""
    written = inspect.signature(endpoint)
    try:
        known = inspect.signature(endpoint, eval_str=True)
    except NameError:
        return written
    if known.return_annotation is None:  # to older versions of FastAPI `"None"` is another thing
        return known.replace(return_annotation=written.return_annotation)
    return known


def _with_exchange(signature: inspect.Signature, exchange: Callable[..., Any]) -> inspect.Signature:
    ours = inspect.Parameter(_PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=Depends(exchange), annotation=Any)
    parameters = list(signature.parameters.values())
    has_rest = bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    parameters.insert(len(parameters) - has_rest, ours)
    return signature.replace(parameters=parameters)


def _exchange_by(cache: Callable[..., Any]) -> Callable[..., Any]:
    async def exchange(request: Request, response: Response, given: Any = Depends(cache)) -> Injected:
        if not isinstance(given, Cache):
            raise ConfigurationError(f"the cache is {type(given).__name__}, which has no loading through it")
        return Injected(request, response, given)

    return exchange

"""`cached_endpoint`: the decorator for path operations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast, overload

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import get_name

from otcache.cache import Cache
from otcache.dependencies import get_web_cache_service
from otcache.dependencies._registry import ByIdentity
from otcache.exceptions import ConfigurationError
from otcache.http._background_refresh import BACKGROUND, BackgroundRun
from otcache.http._exchange import Exchange, Injected
from otcache.http._order import check_order, remember
from otcache.http._policy import Policy, declared
from otcache.http._reach import MARK, Reach, check_public
from otcache.http._routes import Route, selected
from otcache.http._shapes import check_parameters, check_shape
from otcache.ttl import TTL

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_PARAMETER: Final = "otcache_exchange"
"""The parameter that we add to an endpoint's, for FastAPI to fill in."""


@overload
def cached_endpoint(ttl: Endpoint) -> Endpoint: ...
@overload
def cached_endpoint(
    ttl: TTL | None = None,
    *,
    tags: Iterable[str] = (),
    vary: Iterable[str] = (),
    query: Iterable[str] | None = None,
    cookies: Iterable[str] | None = None,
    methods: Iterable[str] = ("GET",),
    private_by: str | Callable[[Request], Any] | None = None,
    shared: bool = False,
    public: bool = False,
    statuses: Mapping[int, TTL | None] | None = None,
    stale_ttl: TTL | None = None,
    timeout: float | None = None,
    body_limit: int = 65_536,
    size_limit: int = 1_048_576,
    without_headers: Iterable[str] = (),
    respect_request: bool = False,
    cache_status: str | None = "otcache",
    server_timing: bool | None = None,
    details: bool | None = None,
    cache: Callable[..., Any] = get_web_cache_service,
) -> Callable[[Endpoint], Endpoint]: ...
def cached_endpoint(
    ttl: Any = None,
    *,
    tags: Iterable[str] = (),
    vary: Iterable[str] = (),
    query: Iterable[str] | None = None,
    cookies: Iterable[str] | None = None,
    methods: Iterable[str] = ("GET",),
    private_by: str | Callable[[Request], Any] | None = None,
    shared: bool = False,
    public: bool = False,
    statuses: Mapping[int, TTL | None] | None = None,
    stale_ttl: TTL | None = None,
    timeout: float | None = None,
    body_limit: int = 65_536,
    size_limit: int = 1_048_576,
    without_headers: Iterable[str] = (),
    respect_request: bool = False,
    cache_status: str | None = "otcache",
    server_timing: bool | None = None,
    details: bool | None = None,
    cache: Callable[..., Any] = get_web_cache_service,
) -> Any:
    """Answer a path operation from the cache: `@app.get(...)` over `@cached_endpoint(ttl=60)`.

    Dependencies, authorization included, run first for every request; docs/http.md says what is stored and sent.

    Args:
        ttl: How long a response stays fresh: seconds, a `timedelta` or `FOREVER`; 0 keeps nothing, `None` takes the
            cache's. A response's own `max-age` or `Expires` wins.
        tags: Tags to invalidate by, with the endpoint's parameters in braces: `"user:{user_id}"`.
        vary: Request headers that responses depend on, beside those that the endpoint or a dependency declares. Where
            something else may read anything of a request, nothing is cached until `vary`, `cookies`, `private_by` or
            `shared` says what decides.
        query: Query parameters that responses depend on; `None`: those that are declared, or all of them where the
            endpoint or a dependency takes the whole `Request`.
        cookies: Cookies that responses depend on, beside those that are declared; all others then decide nothing.
        methods: GET (a HEAD is answered from it), POST (the body becomes part of the key), or both.
        private_by: Whose a response is: a parameter of the endpoint (`"user_id"`, `"user.id"`), or a function of
            the request. A request of which it gives `None` or raises bypasses the cache.
        shared: Whether all requests get the same responses, whoever asks.
        public: Whether CDNs and proxies may keep responses, too; without it they leave as `Cache-Control: private`.
        statuses: Status codes that are stored, and for how long (`None`: `ttl`); {200: None} by default.
        stale_ttl: Time past `ttl` in which a response is served stale while a refresh runs, or if it fails;
            `None` takes the cache's.
        timeout: Seconds that a request waits for the run of another request; `None` takes the cache's.
        body_limit: Bytes; requests with a larger body bypass the cache.
        size_limit: Bytes; responses with a larger body are not stored.
        without_headers: Response headers that are not stored, such as a request's id.
        respect_request: Whether the request's Cache-Control counts: then each client decides when the endpoint runs.
        cache_status: Our name in the Cache-Status header; `None` sends no such header.
        server_timing: Whether to send a Server-Timing header; `None`: as `details`.
        details: Whether Cache-Status says more than hit or why not; `None` takes the cache's `http_details`.
        cache: The dependency that returns the cache.

    Raises:
        ConfigurationError: A value is outside its range, a tag names no parameter, the endpoint yields or takes a
            websocket, the decorator stands above the route's, or `public=True` contradicts the endpoint.
    """
    if callable(ttl):  # without parentheses
        return cached_endpoint()(ttl)
    policy = Policy(
        ttl=declared("ttl", ttl),
        tags=_names("tags", tags),
        vary=_headers("vary", vary),
        query=None if query is None else frozenset(_names("query", query)),
        cookies=None if cookies is None else _names("cookies", cookies),
        methods=frozenset(method.upper() for method in _names("methods", methods)),
        private_by=private_by,
        shared=shared,
        public=public,
        statuses={code: declared(f"statuses[{code}]", kept) for code, kept in (statuses or {200: None}).items()},
        stale_ttl=declared("stale_ttl", stale_ttl),
        timeout=timeout,
        body_limit=body_limit,
        size_limit=size_limit,
        without_headers=frozenset(_headers("without_headers", without_headers)),
        respect_request=respect_request,
        cache_status=cache_status,
        server_timing=server_timing,
        details=details,
    )
    return lambda endpoint: _wrap(endpoint, policy, cache)


def _headers(what: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in _names(what, names))


def _names(what: str, names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):  # each of its letters would be a name
        raise ConfigurationError(f"{what}={names!r} is one text: write {what}=({names!r},)")
    return tuple(names)


def _wrap(endpoint: Endpoint, policy: Policy, cache: Callable[..., Any]) -> Endpoint:
    check_shape(endpoint)
    check_order(endpoint)
    signature = _signature(endpoint)
    check_parameters(endpoint, signature)
    policy.check(signature.parameters)
    check_public(policy, signature)
    inject = _injected_by(cache)
    route_of: ByIdentity[Any, Route] = ByIdentity(lambda route: Route(route, (endpoint, _held_by(route)), inject))
    reach_of: ByIdentity[Any, Reach] = ByIdentity(lambda route: Reach(route, inject))

    @functools.wraps(endpoint)
    async def cached(*args: Any, **kwargs: Any) -> Any:
        injected = kwargs.pop(_PARAMETER, None)
        if not isinstance(injected, Injected):  # called by hand, without a request
            returned = endpoint(*args, **kwargs)
            return await returned if inspect.isawaitable(returned) else returned
        route = selected(injected.request.scope)
        arguments = signature.bind_partial(*args).arguments | kwargs if args else kwargs  # args: of a bound method
        exchange = Exchange(policy, endpoint, route_of(route), reach_of(route), injected, arguments)
        background_run: BackgroundRun | None = injected.request.scope.get(BACKGROUND)
        if background_run is None:
            return await exchange.answer()
        response = await exchange.run_again(background_run)
        return Response(status_code=204, background=getattr(response, "background", None))  # no client receives it

    cached.__name__ = get_name(endpoint)
    cached.__signature__ = _with_parameter(signature, inject)  # type: ignore[attr-defined]
    setattr(cached, MARK, (policy, inject))
    remember(endpoint, inject)
    return cast("Endpoint", cached)


def _held_by(route: Any) -> Any:
    """Return what a route gives its endpoint by itself: the object of a bound method, the arguments of a partial."""
    call = route.dependant.call
    if isinstance(call, functools.partial):
        return call.args, tuple(sorted(call.keywords.items()))
    return getattr(call, "__self__", None)


def _signature(endpoint: Callable[..., Any]) -> inspect.Signature:
    """Return the signature with resolved annotations: FastAPI would look for their names in our module."""
    written = inspect.signature(endpoint)
    try:
        known = inspect.signature(endpoint, eval_str=True)
    except NameError:
        return written
    if known.return_annotation is None:  # older versions of FastAPI treat `"None"` differently
        return known.replace(return_annotation=written.return_annotation)
    return known


def _with_parameter(signature: inspect.Signature, inject: Callable[..., Any]) -> inspect.Signature:
    ours = inspect.Parameter(_PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=Depends(inject), annotation=Any)
    parameters = list(signature.parameters.values())
    has_rest = bool(parameters) and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD
    parameters.insert(len(parameters) - has_rest, ours)
    return signature.replace(parameters=parameters)


def _injected_by(cache: Callable[..., Any]) -> Callable[..., Any]:
    async def inject(request: Request, response: Response, found: Any = Depends(cache)) -> Injected:
        if not isinstance(found, Cache):
            raise ConfigurationError(f"cache= gave {type(found).__name__}: responses need a cache of otcache")
        return Injected(request, response, found)

    return inject

"""One request and its response: whether the cache may answer it, with what, and under which headers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import floor
from typing import Any, Final

import fastapi
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from otcache.base import Answer
from otcache.cache import Cache
from otcache.dependencies._application import PUBLIC
from otcache.exceptions import CacheError
from otcache.http._background_refresh import (
    BackgroundRun,
    EndpointResult,
    RefreshRefusedError,
    ResponseLoader,
    run_in_background,
)
from otcache.http._cache_control import NO_DIRECTIVES, request_directives
from otcache.http._policy import Policy, can_be_stored
from otcache.http._reach import Reach
from otcache.http._request_key import RequestKey, method_of
from otcache.http._response_headers import (
    Decision,
    Forward,
    RawHeaders,
    SharedResponse,
    add_cache_headers,
    add_status_headers,
    conditional_response,
    keep_private,
    lowered,
    own_copy,
    with_headers,
)
from otcache.http._routes import ReturnedValue, Route
from otcache.http._session import session_used, session_watch
from otcache.http._shapes import call
from otcache.http._stored_response import StoredResponse, read_stored, stored_error, stored_response
from otcache.telemetry.catalog.values import ResponseResult
from otcache.ttl import FOREVER, ttl_seconds

_log: Final = logging.getLogger("otcache.http")
_ERRORS: Final = (HTTPException, fastapi.HTTPException)
"""Exceptions that can be stored; a class of the application's may hold more than their status, detail and headers."""
_clock: Final = time.perf_counter_ns
_WHOSE: Final = frozenset({"credentials", "owner", "session", "unknown-dependency", "unknown-middleware"})
"""Why a request passes by, where nobody knows whose its answer is."""
_RESULTS: Final[Mapping[str, ResponseResult]] = {"fresh": "hit", "stale": "stale", "loaded": "miss"}


@dataclass(frozen=True, slots=True)
class Injected:
    """What FastAPI injects for us; dependencies and the endpoint set headers on the response."""

    request: Request
    response: Response
    cache: Cache


class Exchange:
    """One request, with what FastAPI injected for us and the `arguments` for the endpoint; and its response."""

    def __init__(
        self,
        policy: Policy,
        endpoint: Callable[..., Any],
        route: Route,
        reach: Reach,
        injected: Injected,
        arguments: dict[str, Any],
    ) -> None:
        self._policy = policy
        self._endpoint = endpoint
        self._route = route
        self._reach = reach
        self._request = injected.request
        self._injected_response = injected.response
        self._cache = injected.cache
        self._default_ttl = ttl_seconds(injected.cache.config.default_ttl)
        self._arguments = arguments
        self._began = _clock()
        self._key = RequestKey(policy, route, injected.request, arguments, injected.cache)
        self._decision = Decision()
        # set by dependencies, for this request alone: not stored, and added again to a stored response
        self._dependency_headers = tuple(lowered(injected.response.raw_headers))
        headers = injected.request.headers
        directives = request_directives(headers.get("cache-control"), headers.get("pragma"))
        self._directives = directives if policy.respect_request else NO_DIRECTIVES

    # --- run the endpoint ---------------------------------------------------------------------------

    async def run(self) -> EndpointResult:
        """Run the endpoint, and let FastAPI turn what it returns into a response."""
        began = _clock()
        try:
            return await self._run()
        finally:
            self._decision.load_ns = _clock() - began

    async def _run(self) -> EndpointResult:
        with session_watch(self._request.scope) as used:
            result = await self._result_of_endpoint()
        if used[0] and result.stored is not None:
            return replace(result, stored=None, why_not="session")
        return result

    async def _result_of_endpoint(self) -> EndpointResult:
        try:
            returned = await call(self._endpoint, self._arguments)
        except HTTPException as exc:
            if exc.status_code >= 500:
                raise
            return self._result_of_error(exc)
        if isinstance(returned, Response):
            returned = own_copy(returned)
            return self._result_of_response(returned, returned.raw_headers, plain=False)
        return await self._result_of_value(returned)

    async def _result_of_value(self, returned: Any) -> EndpointResult:
        """Let FastAPI make the response, and take out for storing what dependencies have set for this request alone."""
        injected, ours = self._injected_response, len(self._dependency_headers)
        set_by_all = tuple(lowered(injected.raw_headers))
        response = await self._route.respond(self._request, ReturnedValue(returned, injected.status_code, set_by_all))
        if set_by_all[:ours] != self._dependency_headers:  # which the endpoint has changed: no other request has them
            return EndpointResult(response, None, None, "dependency-headers")
        begin = len(response.raw_headers) - len(set_by_all)
        own = [*response.raw_headers[:begin], *response.raw_headers[begin + ours :]]
        return self._result_of_response(response, own, plain=True)

    def _result_of_response(self, response: Response, headers: RawHeaders, *, plain: bool) -> EndpointResult:
        verdict = self._policy.verdict(response, self._default_ttl, self._key.headers)
        if verdict.ttl is None:
            return EndpointResult(response, None, None, verdict.why_not)
        stored = stored_response(response, headers, plain=plain, made=time.time(), ttl=verdict.ttl, age=verdict.age)
        return EndpointResult(response, None, stored.without(self._policy.without_headers))

    def _result_of_error(self, error: HTTPException) -> EndpointResult:
        verdict = self._policy.verdict(error, self._default_ttl, self._key.headers)
        if verdict.ttl is None or type(error) not in _ERRORS or not can_be_stored(error):
            return EndpointResult(None, error, None, verdict.why_not or "detail")
        stored = stored_error(error, made=time.time(), ttl=verdict.ttl, age=verdict.age)
        return EndpointResult(None, error, stored.without(self._policy.without_headers))

    async def _refresh(self, key: str) -> EndpointResult:
        """Run the endpoint in the background, after the request has left."""
        run = BackgroundRun(key)
        try:
            result = await run_in_background(self._request, self._key.body, run)
        except RefreshRefusedError:
            if run.refused is not None:  # whom the old response is for can't be told any more
                await self._cache.delete(key)
            raise
        if result.stored is None and result.failed:
            raise RefreshRefusedError("the endpoint answered with a server error")
        return result

    async def run_again(self, run: BackgroundRun) -> Response | None:
        """Run the endpoint for a request that has left, if the request still has the key that the result is for."""
        reason = await self._bypass_reason()
        if reason is None and self._key.text() != run.key:
            reason = "another key"
        if reason is None:
            run.result = await self.run()
        run.refused = reason
        return None if run.result is None else run.result.response

    # --- answer the request -------------------------------------------------------------------------

    async def answer(self) -> Response:
        """Return the response, from the cache or from the endpoint.

        Raises:
            HTTPException: The endpoint raised it, now or when it was stored.
        """
        try:
            result = await self._result()
            if isinstance(result, EndpointResult):
                return self._own_response(result)
            return self._shared_response(result)
        finally:
            self._cache.count_response(self._route.path, self._decision.result)

    async def _result(self) -> SharedResponse | EndpointResult:
        reason = await self._bypass_reason()
        if reason is not None:
            return await self._bypass("bypass", reason)
        self._decision.result = "miss"
        fwd: Forward = "miss" if self._key.varies else "uri-miss"
        key = self._key.text()
        if self._directives.only_if_cached or self._request.method == "HEAD":
            return await self._read_only(key, fwd)
        refresh = self._directives.no_cache
        found = await self._load_through(key, "request" if refresh else fwd, refresh=refresh)
        if isinstance(found, EndpointResult) or found.loaded or found.satisfies(self._directives):
            return found
        return await self._load_through(key, "stale" if found.left < 0 else "request", refresh=True)

    async def _read_only(self, key: str, fwd: Forward) -> SharedResponse | EndpointResult:
        """Answer with what is stored and fresh, or bypass the cache: a HEAD has no body that could be stored."""
        stored = read_stored(await self._cache.get(key))
        if stored is not None:
            age = max(0.0, time.time() - stored.made)
            found = SharedResponse(stored, age + stored.age, stored.ttl - age, loaded=False)
            if found.satisfies(self._directives):
                self._decision.result, self._decision.fwd = "hit", None
                return found
        return await self._bypass(fwd, "head")

    async def _bypass(self, fwd: Forward, reason: str) -> EndpointResult:
        """Run the endpoint for this request alone; with `only-if-cached`, answer 504 (RFC 9111, 5.2.1.7)."""
        if self._directives.only_if_cached:
            self._decision.detail = "only-if-cached"
            return EndpointResult(Response(status_code=504), None, None)
        self._decision.fwd, self._decision.detail = fwd, reason
        return await self.run()

    async def _load_through(self, key: str, fwd: Forward, *, refresh: bool) -> SharedResponse | EndpointResult:
        """Load through the cache; a result of the endpoint that other requests must not get comes back as it is."""
        loader = ResponseLoader(self.run, lambda: self._refresh(key), self._tags())
        try:
            answer: Answer[Any] = await self._cache.answer(
                key,
                loader.load,
                stale_ttl=self._policy.stale_ttl,
                soft_timeout=0.0,
                timeout=self._policy.timeout,
                refresh=refresh,
                template=f"{self._request.method} {self._route.path}",
            )
            return await self._result_of(answer, loader, fwd, refresh=refresh)
        except Exception as exc:
            if exc is loader.error:  # the endpoint's own
                raise
            if isinstance(exc, CacheError | TimeoutError) and not isinstance(exc, RefreshRefusedError):
                _log.warning("%s %s bypassed the cache: %s", self._request.method, self._route.path, type(exc).__name__)
                self._decide("bypass", "bypass", "cache-error")
            else:  # what another request's run has raised may be about that request
                self._decide("miss", fwd, "not-shared")
            return await loader.run()
        finally:
            await loader.leave()

    async def _result_of(
        self, answer: Answer[Any], loader: ResponseLoader, fwd: Forward, *, refresh: bool
    ) -> SharedResponse | EndpointResult:
        if answer.status == "stale" and refresh and loader.error is not None:
            raise loader.error  # a request for a new response is not served an old one
        result, loaded = _RESULTS[answer.status], answer.status == "loaded"
        self._decide(result, fwd if loaded else None, answer.stale_reason)
        self._decision.tier = answer.tier
        self._decision.collapsed = loaded and self._decision.load_ns is None
        if isinstance(answer.value, EndpointResult):
            if answer.value is not loader.result:  # another request's own, which this one must not get
                self._decision.detail = "not-shared"
                return await loader.run()
            self._decision.detail = answer.value.why_not
            return answer.value
        stored = read_stored(answer.value)
        if stored is None:
            raise CacheError("the cached value is not a stored response")
        if self._decision.collapsed and stored.status >= 500:
            self._decision.detail = "not-shared"
            return await loader.run()
        self._decision.stored = loaded and answer.left != 0  # 0: invalidated while the endpoint ran
        own = loader.result if loaded else None
        return _found(answer, stored, None if own is None else own.response or own.error)

    def _decide(self, result: ResponseResult, fwd: Forward | None, detail: str | None) -> None:
        self._decision.result, self._decision.fwd, self._decision.detail = result, fwd, detail

    def _tags(self) -> list[str]:
        """Return the tags of the response; a template that gives none for this request is told once."""
        tags, without = self._policy.tags_of(self._arguments)
        for template in without:
            self._tell(f"the tag {template!r} gives none for some requests: their responses are stored without it")
        return tags

    def _tell(self, text: str) -> None:
        """Say once what the route does that its author may not expect."""
        if text not in self._reach.told:
            self._reach.told.add(text)
            self._cache.note_route(self._route.path, f"{self._route.path}: {text}")

    # --- what the response depends on ---------------------------------------------------------------

    async def _bypass_reason(self) -> str | None:
        """Return why the request bypasses the cache; `None` if it doesn't."""
        if method_of(self._request) not in self._policy.methods:
            return "method"
        if self._directives.no_store:
            return "no-store"
        if not self._policy.keeps(self._default_ttl):
            return "ttl"
        if self._injected_response.status_code is not None:
            return "status"  # set by a dependency, for this request alone
        reason = await self._key.unknown()
        if reason is None and self._policy.private_by is None and session_used(self._request.scope):
            return "session"
        return reason

    # --- the response -------------------------------------------------------------------------------

    def _own_response(self, result: EndpointResult) -> Response:
        """Return the endpoint's response to this request alone, as it is."""
        self._note_lookup_time()
        if result.error is not None:
            headers = MutableHeaders(result.error.headers or {})
            self._add_own_headers(headers)
            raise with_headers(result.error, headers)
        assert result.response is not None
        self._add_own_headers(result.response.headers)
        return result.response

    def _add_own_headers(self, headers: MutableHeaders) -> None:
        if self._decision.detail == "ttl":  # 0 keeps nothing here, and nothing in browsers
            headers.setdefault("cache-control", "private, max-age=0")
        self._close(headers, self._decision.detail in _WHOSE or self._is_closed(headers))
        self._add_status_headers(headers)

    def _shared_response(self, found: SharedResponse) -> Response:
        """Return a response that other requests may get, too."""
        stored = found.stored
        self._decision.ttl = None if found.left == FOREVER else floor(found.left)
        self._note_lookup_time()
        if stored.body is None:
            error = found.own or stored.to_error()
            headers = MutableHeaders(error.headers or {})
            self._add_cache_headers(headers, found)
            self._add_status_headers(headers)
            raise with_headers(error, headers)
        response: Response = found.own or stored.to_response(head=self._request.method == "HEAD")
        if stored.plain and found.own is None:
            response.raw_headers.extend(self._dependency_headers)
        self._add_cache_headers(response.headers, found)
        own = self._dependency_headers if stored.plain else ()
        sent = conditional_response(response, self._request.headers, self._request.method, own)
        self._add_status_headers(sent.headers)
        return sent

    def _add_cache_headers(self, headers: MutableHeaders, found: SharedResponse) -> None:
        policy, public = self._policy, self._reach.is_public(self._policy, self._request.scope.get("app"))
        closed = self._is_closed(headers)
        stale = ttl_seconds(self._cache.config.stale_ttl) if policy.stale_ttl is None else policy.stale_ttl
        add_cache_headers(headers, found, self._key.varies, public=public, closed=closed, stale=stale)
        self._close(headers, closed)
        if self._reach.alone and policy.private_by is None and not public:
            self._tell("responses are private now; add public=True if CDNs and proxies may keep them")

    def _is_closed(self, headers: MutableHeaders) -> bool:
        return bool(self._route.inputs.credentials) or self._reach.is_closed(self._policy, self._request, headers)

    def _close(self, headers: MutableHeaders, closed: bool) -> None:
        """Keep a response from caches that serve many; one that is given a cookie later, as soon as it is."""
        if closed:
            keep_private(headers)
        else:
            self._request.scope.get(PUBLIC, []).append(keep_private)

    def _add_status_headers(self, headers: MutableHeaders) -> None:
        policy = self._policy
        details = self._cache.config.http_details if policy.details is None else policy.details
        timing = details if policy.server_timing is None else policy.server_timing
        add_status_headers(headers, self._decision, policy.cache_status, details=details, timing=timing)

    def _note_lookup_time(self) -> None:
        self._decision.lookup_ns = max(0, _clock() - self._began - (self._decision.load_ns or 0))


def _found(answer: Answer[Any], stored: StoredResponse, own: Any) -> SharedResponse:
    age = max(0.0, time.time() - stored.made) if answer.age is None else answer.age
    left = stored.ttl - age if answer.left is None else answer.left
    return SharedResponse(stored, age + stored.age, left, answer.status == "loaded", own, answer.stale_reason)

"""One request and its response: whether the cache may answer it, with what, and under which headers."""

from __future__ import annotations

import inspect
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from math import floor
from typing import Any, Final

import fastapi
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from otcache.base import Answer
from otcache.cache import Cache
from otcache.exceptions import CacheError
from otcache.http._background_refresh import EndpointResult, RefreshRefusedError, ResponseLoader, run_in_background
from otcache.http._cache_control import NO_DIRECTIVES, request_directives
from otcache.http._policy import Policy, can_be_stored
from otcache.http._response_headers import (
    Decision,
    Forward,
    SharedResponse,
    add_cache_headers,
    add_status_headers,
    conditional_response,
)
from otcache.http._routes import ReturnedValue, Route
from otcache.http._stored_response import FORMAT, StoredResponse, read_stored, stored_error, stored_response
from otcache.telemetry.catalog.values import ResponseResult
from otcache.ttl import FOREVER, LONGEST_TTL, ttl_seconds

_log: Final = logging.getLogger("otcache.http")
_ERRORS: Final = (HTTPException, fastapi.HTTPException)
"""Exceptions that can be stored; a class of the application's may hold more than their status, detail and headers."""
_clock: Final = time.perf_counter_ns
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
        self, policy: Policy, endpoint: Callable[..., Any], route: Route, injected: Injected, arguments: dict[str, Any]
    ) -> None:
        self._policy = policy
        self._endpoint = endpoint
        self._route = route
        self._request = injected.request
        self._injected_response = injected.response
        self._cache = injected.cache
        self._arguments = arguments
        self._began = _clock()
        self._body = b""
        self._owner: str | None = None
        self._decision = Decision()
        # set by dependencies, for this request alone: not stored, and added again to a stored response
        self._dependency_headers = tuple(injected.response.raw_headers)
        self._dependency_names = frozenset(name.decode("latin-1").lower() for name, _ in self._dependency_headers)
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
        try:
            returned = await self._call()
        except HTTPException as exc:
            if exc.status_code >= 500:
                raise
            return self._result_of_error(exc)
        injected = self._injected_response
        value = ReturnedValue(returned, injected.status_code, tuple(injected.raw_headers))
        response = await self._route.respond(self._request, value)
        return self._result_of_response(response, plain=not isinstance(returned, Response))

    async def _call(self) -> Any:
        if inspect.iscoroutinefunction(self._endpoint):
            return await self._endpoint(**self._arguments)
        return await run_in_threadpool(self._endpoint, **self._arguments)

    def _result_of_response(self, response: Response, *, plain: bool) -> EndpointResult:
        ttl, why_not = self._policy.ttl_of(response, self._cache.config.default_ttl)
        if ttl is None:
            return EndpointResult(response, None, None, why_not)
        stored = stored_response(response, plain=plain, made=time.time(), ttl=ttl)
        dropped = self._policy.without_headers | (self._dependency_names if plain else frozenset())
        return EndpointResult(response, None, stored.without(dropped))

    def _result_of_error(self, error: HTTPException) -> EndpointResult:
        ttl, why_not = self._policy.ttl_of(error, self._cache.config.default_ttl)
        if ttl is None or type(error) not in _ERRORS or not can_be_stored(error.detail):
            return EndpointResult(None, error, None, why_not or "detail")
        stored = stored_error(error, made=time.time(), ttl=ttl)
        return EndpointResult(None, error, stored.without(self._policy.without_headers))

    async def _refresh(self, key: str) -> EndpointResult:
        """Run the endpoint in the background, after the request has left."""
        result = await run_in_background(self._request, self._body)
        if result.stored is None:
            status = result.error.status_code if result.response is None else result.response.status_code
            if status >= 500:
                raise RefreshRefusedError(f"the endpoint answered {status}")
            # the new response must not be stored: the old one must not be served in its place any longer
            await self._cache.delete(key)
        return result

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
        fwd: Forward = "miss" if self._varies else "uri-miss"
        key = self._key()
        if self._directives.only_if_cached or self._request.method == "HEAD":
            return await self._read_only(key, fwd)
        refresh = self._directives.no_cache
        found = await self._load_through(key, "request" if refresh else fwd, refresh=refresh)
        if isinstance(found, EndpointResult) or found.loaded or found.satisfies(self._directives):
            return found
        is_stale = found.left is not None and found.left < 0
        return await self._load_through(key, "stale" if is_stale else "request", refresh=True)

    async def _read_only(self, key: str, fwd: Forward) -> SharedResponse | EndpointResult:
        """Answer with what is stored and fresh, or bypass the cache: a HEAD has no body that could be stored."""
        stored = read_stored(await self._cache.get(key))
        if stored is not None:
            age = max(0.0, time.time() - stored.made)
            found = SharedResponse(stored, age, stored.ttl - age if stored.ttl else None, loaded=False)
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
        loader = ResponseLoader(self.run, lambda: self._refresh(key), self._policy.tags_of(self._arguments))
        try:
            answer: Answer[Any] = await self._cache.answer(
                key,
                loader.load,
                self._policy.ttl,
                stale_ttl=self._policy.stale_ttl,
                soft_timeout=0.0,
                timeout=self._policy.timeout,
                refresh=refresh,
                template=f"{self._request.method} {self._route.path}",
            )
            return await self._result_of(answer, loader, fwd, refresh=refresh)
        except (CacheError, TimeoutError) as exc:
            if exc is loader.error:  # the endpoint's own, not the cache's
                raise
            _log.warning("%s %s bypassed the cache: %s", self._request.method, self._route.path, type(exc).__name__)
            self._decide("bypass", "bypass", "cache-error")
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
        self._decision.stored = loaded and answer.left != 0  # 0: invalidated while the endpoint ran
        own = loader.result.response if loaded and loader.result is not None else None
        return self._found(answer, stored, own)

    def _decide(self, result: ResponseResult, fwd: Forward | None, detail: str | None) -> None:
        self._decision.result, self._decision.fwd, self._decision.detail = result, fwd, detail

    @staticmethod
    def _found(answer: Answer[Any], stored: StoredResponse, own: Response | None) -> SharedResponse:
        age = max(0.0, time.time() - stored.made) if answer.age is None else answer.age
        left = None if answer.left == FOREVER else answer.left
        if left is None and stored.ttl:
            left = stored.ttl - age
        return SharedResponse(stored, age, left, answer.status == "loaded", own)

    # --- what the response depends on ---------------------------------------------------------------

    async def _bypass_reason(self) -> str | None:
        """Return why the request bypasses the cache; `None` if it doesn't."""
        if _method(self._request) not in self._policy.methods:
            return "method"
        if self._directives.no_store:
            return "no-store"
        if self._policy.private_by is not None:
            self._owner = await self._policy.owner_of(self._request, self._arguments)
            if self._owner is None:
                return "owner"
        elif not self._policy.shared and self._has_credentials():
            return "credentials"
        return await self._read_body()

    def _has_credentials(self) -> bool:
        """Whether the response may be one user's own (RFC 9111, 3.5; cookies and API keys by the same reasoning)."""
        headers, query = self._request.headers, self._request.query_params
        named = ("authorization", "cookie", *self._route.key_headers)
        return any(name in headers for name in named) or any(name in query for name in self._route.key_queries)

    async def _read_body(self) -> str | None:
        if self._request.method != "POST" and not self._route.body:
            return None
        try:
            self._body = await self._request.body()
        except RuntimeError:  # a form, whose stream FastAPI has consumed
            return "form"
        return "body" if len(self._body) > self._policy.body_limit else None

    @property
    def _varies(self) -> tuple[str, ...]:
        """The headers that responses depend on: declared to us or to FastAPI, or telling whose the response is."""
        owner = ("authorization", "cookie") if self._policy.private_by is not None else ()
        cookies = ("cookie",) if self._route.cookies else ()
        return tuple(dict.fromkeys((*self._headers, *owner, *cookies)))

    @property
    def _headers(self) -> tuple[str, ...]:
        """The headers that are part of the key; without Authorization where the policy says whose the response is."""
        decided = ("authorization",) if self._policy.shared or self._policy.private_by is not None else ()
        declared = (name for name in self._route.headers if name not in decided)
        return tuple(dict.fromkeys((*self._policy.vary, *declared)))

    def _key(self) -> str:
        """Return `http:{method}:{path}:{digest}`: the route in clear, and nothing that a client sends readable.

        `http:GET:/users/{user_id}:` begins every key of that route.
        """
        request = self._request
        named = self._route.query if self._policy.query is None else self._policy.query
        query = [list(pair) for pair in request.query_params.multi_items() if named is None or pair[0] in named]
        parts = {
            "format": FORMAT,
            "root": str(request.base_url) if self._route.whole else request.scope.get("root_path", ""),
            "path": {name: str(value) for name, value in request.path_params.items()},
            "query": sorted(query, key=lambda pair: pair[0]),
            "headers": {name: request.headers.getlist(name) for name in self._headers},
            "cookies": {name: request.cookies.get(name) for name in self._route.cookies},
            "owner": self._owner,
            "body": [_digest(self._body), request.headers.get("content-type")] if self._body else None,
        }
        text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return f"http:{_method(request)}:{self._route.path}:{_digest(text.encode())}"

    # --- the response -------------------------------------------------------------------------------

    def _own_response(self, result: EndpointResult) -> Response:
        """Return the endpoint's response to this request alone, as it is."""
        self._note_lookup_time()
        if result.error is not None:
            headers = MutableHeaders(result.error.headers or {})
            add_status_headers(headers, self._decision, self._policy)
            result.error.headers = dict(headers)
            raise result.error
        assert result.response is not None
        add_status_headers(result.response.headers, self._decision, self._policy)
        return result.response

    def _shared_response(self, found: SharedResponse) -> Response:
        """Return a response that other requests may get, too."""
        stored = found.stored
        self._decision.ttl = None if found.left is None else floor(found.left)
        self._note_lookup_time()
        if stored.body is None:
            error = stored.to_error()
            headers = MutableHeaders(error.headers or {})
            self._add_cache_headers(headers, found)
            add_status_headers(headers, self._decision, self._policy)
            error.headers = dict(headers)
            raise error
        response = found.response or stored.to_response(head=self._request.method == "HEAD")
        if stored.plain and found.response is None:
            response.raw_headers.extend(self._dependency_headers)
        self._add_cache_headers(response.headers, found)
        sent = conditional_response(response, self._request.headers, self._request.method)
        add_status_headers(sent.headers, self._decision, self._policy)
        return sent

    def _add_cache_headers(self, headers: MutableHeaders, found: SharedResponse) -> None:
        private = self._policy.private_by is not None or "set-cookie" in headers
        given = self._cache.config.stale_ttl if self._policy.stale_ttl is None else self._policy.stale_ttl
        stale = int(min(ttl_seconds(given, "stale_ttl"), LONGEST_TTL))
        add_cache_headers(headers, found, self._varies, private=private, stale=stale)

    def _note_lookup_time(self) -> None:
        self._decision.lookup_ns = max(0, _clock() - self._began - (self._decision.load_ns or 0))


def _method(request: Request) -> str:
    """Return the method whose responses may answer the request."""
    return "GET" if request.method == "HEAD" else request.method


def _digest(what: bytes) -> str:
    """Return 128 bits: no two requests share a key by chance."""
    return blake2b(what, digest_size=16).hexdigest()

"""One request on its way through the cache: whether it may be answered from there, by what, and what it is told."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from otcache.http._background_refresh import Load, Made, RefreshRefusedError, run_again
from otcache.http._cache_control import NOTHING, wishes_of
from otcache.http._cache_status import Decision, Forward
from otcache.http._key import body_digest, response_key
from otcache.http._policy import Policy, can_be_kept
from otcache.http._response_headers import Found, conditional, dress, tell
from otcache.http._routes import Given, Route
from otcache.http._stored_response import FORMAT, Record, of_error, of_response, record_of
from otcache.telemetry.record import ResponseResult

_log: Final = logging.getLogger("otcache.http")
_ERRORS: Final = (HTTPException, fastapi.HTTPException)
"""Exceptions that are nothing but what they hold; a class of the application's may be more."""
_clock: Final = time.perf_counter_ns
_RESULTS: Final[Mapping[str, ResponseResult]] = {"fresh": "hit", "stale": "stale", "loaded": "miss"}


@dataclass(frozen=True, slots=True)
class Injected:
    """What FastAPI injects for us.

    Attributes:
        request: The request.
        response: What dependencies and the endpoint may set headers on.
        cache: Where answers are kept.
    """

    request: Request
    response: Response
    cache: Cache


class Exchange:
    """One request.

    Args:
        policy: What the developer has declared.
        endpoint: What answers without the cache.
        route: The route it came by.
        exchange: What was injected for us.
        arguments: What was injected for the endpoint.
    """

    def __init__(
        self,
        policy: Policy,
        endpoint: Callable[..., Any],
        route: Route,
        exchange: Injected,
        arguments: Mapping[str, Any],
    ) -> None:
        self._policy = policy
        self._endpoint = endpoint
        self._route = route
        self._request = exchange.request
        self._injected = exchange.response
        self._cache = exchange.cache
        self._arguments = arguments
        self._began = _clock()
        self._body = b""
        self._owner: str | None = None
        self._decision = Decision()
        self._own_headers = tuple(exchange.response.raw_headers)  # by dependencies, for this request alone
        self._names = frozenset(name.decode("latin-1").lower() for name, _ in self._own_headers)
        headers = exchange.request.headers
        wishes = wishes_of(headers.get("cache-control"), headers.get("pragma"))
        self._wishes = wishes if policy.respect_request else NOTHING

    # --- the endpoint -------------------------------------------------------------------------------

    async def make(self) -> Made:
        """Run the endpoint, and let FastAPI make its response."""
        began = _clock()
        try:
            return await self._make()
        finally:
            self._decision.load_ns = _clock() - began

    async def _make(self) -> Made:
        try:
            value = await self._call()
        except HTTPException as exc:
            if exc.status_code >= 500:
                raise
            return self._of_error(exc)
        given = Given(value, self._injected.status_code, tuple(self._injected.raw_headers))
        response = await self._route.respond(self._request, given)
        return self._of_response(response, plain=not isinstance(value, Response))

    async def _call(self) -> Any:
        if inspect.iscoroutinefunction(self._endpoint):
            return await self._endpoint(**self._arguments)
        return await run_in_threadpool(self._endpoint, **self._arguments)

    def _of_response(self, response: Response, *, plain: bool) -> Made:
        ttl, why = self._policy.ttl_of(response, self._cache.config.default_ttl)
        if ttl is None:
            return Made(response, None, None, why)
        record = of_response(response, plain=plain, made=time.time(), ttl=ttl)
        dropped = self._policy.without_headers | (self._names if plain else frozenset())
        return Made(response, None, record.without(dropped))

    def _of_error(self, error: HTTPException) -> Made:
        ttl, why = self._policy.ttl_of(error, self._cache.config.default_ttl)
        if ttl is None or type(error) not in _ERRORS or not can_be_kept(error.detail):
            return Made(None, error, None, why or "detail")
        record = of_error(error, made=time.time(), ttl=ttl)
        return Made(None, error, record.without(self._policy.without_headers))

    async def _again(self, key: str) -> Made:
        """A refresh that nobody waits for: what it may not keep must not be answered with what it was either."""
        made = await run_again(self._request, self._body)
        if made.record is None:
            status = made.error.status_code if made.response is None else made.response.status_code
            if status >= 500:
                raise RefreshRefusedError(f"the endpoint answered {status}")
            await self._cache.delete(key)
        return made

    # --- the way ------------------------------------------------------------------------------------

    async def answer(self) -> Response:
        """The answer, from the cache or from the endpoint.

        Raises:
            HTTPException: The endpoint has raised it, now or when it was stored.
        """
        try:
            settled = await self._settle()
            return self._unshared(settled) if isinstance(settled, Made) else self._shared(settled)
        finally:
            self._cache.count_response(self._route.path, self._decision.result)

    async def _settle(self) -> Found | Made:
        why = await self._why_not()
        if why is not None:
            return await self._forward("bypass", why)
        self._decision.result = "miss"
        asked: Forward = "miss" if self._varies else "uri-miss"
        key = self._key()
        if self._wishes.only_if_cached or self._request.method == "HEAD":
            return await self._peek(key, asked)
        found = await self._ask(key, "request" if self._wishes.no_cache else asked, refresh=self._wishes.no_cache)
        if isinstance(found, Made) or found.loaded or found.will_do(self._wishes):
            return found
        is_stale = found.left is not None and found.left < 0
        return await self._ask(key, "stale" if is_stale else "request", refresh=True)

    async def _peek(self, key: str, asked: Forward) -> Found | Made:
        """What is stored and fresh, for a request that may not fill the cache: its answer is none, or has no body."""
        record = record_of(await self._cache.get(key))
        if record is not None:
            age = max(0.0, time.time() - record.made)
            found = Found(record, age, record.ttl - age if record.ttl else None, loaded=False)
            if found.will_do(self._wishes):
                self._decision.result, self._decision.fwd = "hit", None
                return found
        return await self._forward(asked, "head")

    async def _forward(self, fwd: Forward, why: str) -> Made:
        """What the endpoint gives to this request alone; nothing to one that wants no more than what is stored."""
        if self._wishes.only_if_cached:
            self._decision.detail = "only-if-cached"
            return Made(Response(status_code=504), None, None)
        self._decision.fwd, self._decision.detail = fwd, why
        return await self.make()

    async def _ask(self, key: str, fwd: Forward, *, refresh: bool) -> Found | Made:
        """The cache's answer, or what the endpoint gave to this request where that is for nobody else."""
        load = Load(self.make, lambda: self._again(key), self._policy.tags_of(self._arguments))
        try:
            answer: Answer[Any] = await self._cache.answer(
                key,
                load.load,
                self._policy.ttl,
                stale_ttl=self._policy.stale_ttl,
                soft_timeout=0.0,
                timeout=self._policy.timeout,
                refresh=refresh,
                template=f"{self._request.method} {self._route.path}",
            )
            return await self._take(answer, load, fwd, refresh=refresh)
        except (CacheError, TimeoutError) as exc:
            if exc is load.error:
                raise
            _log.warning("a request was answered without the cache: %s", type(exc).__name__)
            self._decide("bypass", "bypass", "cache-error")
            return await load.run()
        finally:
            await load.leave()

    async def _take(self, answer: Answer[Any], load: Load, fwd: Forward, *, refresh: bool) -> Found | Made:
        if answer.status == "stale" and refresh and load.error is not None:
            raise load.error  # who asks for a new one is not served an old one
        result, loaded = _RESULTS[answer.status], answer.status == "loaded"
        self._decide(result, fwd if loaded else None, answer.stale_reason)
        self._decision.tier = answer.tier
        self._decision.collapsed = loaded and self._decision.load_ns is None
        if isinstance(answer.value, Made):
            if answer.value is not load.made:  # it was another request's own
                self._decision.detail = "not-shared"
                return await load.run()
            self._decision.detail = answer.value.why
            return answer.value
        record = record_of(answer.value)
        if record is None:
            raise CacheError("what is stored is no answer")
        self._decision.stored = loaded and answer.left != 0  # 0: invalidated while it was made
        return self._found(answer, record, load.made.response if loaded and load.made is not None else None)

    def _decide(self, result: ResponseResult, fwd: Forward | None, detail: str | None) -> None:
        self._decision.result, self._decision.fwd, self._decision.detail = result, fwd, detail

    def _found(self, answer: Answer[Any], record: Record, response: Response | None) -> Found:
        age = max(0.0, time.time() - record.made) if answer.age is None else answer.age
        left = answer.left if answer.left is not None or not record.ttl else record.ttl - age
        return Found(record, age, left, answer.status == "loaded", response)

    # --- what it depends on -------------------------------------------------------------------------

    async def _why_not(self) -> str | None:
        """Why the cache is not asked; `None` if it is."""
        if _method(self._request) not in self._policy.methods:
            return "method"
        if self._wishes.no_store:
            return "no-store"
        if self._policy.private_by is not None:
            self._owner = await self._policy.owner_of(self._request, self._arguments)
            if self._owner is None:
                return "owner"
        elif not self._policy.shared and self._has_credentials():
            return "credentials"
        return await self._read_body()

    def _has_credentials(self) -> bool:
        """Whether the answer may be one user's own (RFC 9111, 3.5; cookies and API keys by the same reasoning)."""
        headers, query = self._request.headers, self._request.query_params
        named = ("authorization", "cookie", *self._route.key_headers)
        return any(name in headers for name in named) or any(name in query for name in self._route.key_queries)

    async def _read_body(self) -> str | None:
        if self._request.method != "POST" and not self._route.body:
            return None
        try:
            self._body = await self._request.body()
        except RuntimeError:  # a form, that FastAPI has read to its end
            return "form"
        return "body" if len(self._body) > self._policy.body_limit else None

    @property
    def _varies(self) -> tuple[str, ...]:
        """The headers that answers depend on: declared to us, declared to FastAPI, and whose they are."""
        whose = ("authorization", "cookie") if self._policy.private_by is not None else ()
        cookies = ("cookie",) if self._route.cookies else ()
        return tuple(dict.fromkeys((*self._headers, *whose, *cookies)))

    @property
    def _headers(self) -> tuple[str, ...]:
        """The headers that are part of the key; not the one that says who asks, where that has been decided on."""
        decided = ("authorization",) if self._policy.shared or self._policy.private_by is not None else ()
        declared = (name for name in self._route.headers if name not in decided)
        return tuple(dict.fromkeys((*self._policy.vary, *declared)))

    def _key(self) -> str:
        request = self._request
        wanted = self._route.query if self._policy.query is None else self._policy.query
        query = [list(pair) for pair in request.query_params.multi_items() if wanted is None or pair[0] in wanted]
        parts = {
            "format": FORMAT,
            "root": str(request.base_url) if self._route.whole else request.scope.get("root_path", ""),
            "path": {name: str(value) for name, value in request.path_params.items()},
            "query": sorted(query, key=lambda pair: pair[0]),
            "headers": {name: request.headers.getlist(name) for name in self._headers},
            "cookies": {name: request.cookies.get(name) for name in self._route.cookies},
            "owner": self._owner,
            "body": [body_digest(self._body), request.headers.get("content-type")] if self._body else None,
        }
        return response_key(_method(request), self._route.path, parts)

    # --- what it is told ----------------------------------------------------------------------------

    def _unshared(self, made: Made) -> Response:
        """The endpoint's own answer to this request, as it is."""
        self._clock_out()
        if made.error is not None:
            headers = MutableHeaders(made.error.headers or {})
            tell(headers, self._decision, self._policy)
            made.error.headers = dict(headers)
            raise made.error
        assert made.response is not None
        tell(made.response.headers, self._decision, self._policy)
        return made.response

    def _shared(self, found: Found) -> Response:
        """An answer that others may get too."""
        record = found.record
        self._decision.ttl = None if found.left is None else floor(found.left)
        self._clock_out()
        if record.body is None:
            error = record.to_error()
            headers = MutableHeaders(error.headers or {})
            self._dress(headers, found)
            tell(headers, self._decision, self._policy)
            error.headers = dict(headers)
            raise error
        response = found.response or record.to_response(head=self._request.method == "HEAD")
        if record.plain and found.response is None:
            response.raw_headers.extend(self._own_headers)
        self._dress(response.headers, found)
        answer = conditional(response, self._request.headers, self._request.method)
        tell(answer.headers, self._decision, self._policy)
        return answer

    def _dress(self, headers: MutableHeaders, found: Found) -> None:
        private = self._policy.private_by is not None or "set-cookie" in headers
        stale = self._cache.config.stale_ttl if self._policy.stale_ttl is None else self._policy.stale_ttl
        dress(headers, found, self._varies, private=private, stale=stale)

    def _clock_out(self) -> None:
        self._decision.lookup_ns = max(0, _clock() - self._began - (self._decision.load_ns or 0))


def _method(request: Request) -> str:
    """The method whose answers are asked for."""
    return "GET" if request.method == "HEAD" else request.method

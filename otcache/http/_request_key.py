"""What the response to a request depends on: whether that is known, its key, and the headers that it varies by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

from starlette.requests import Request

from otcache.cache import Cache
from otcache.http._owner import owner_of
from otcache.http._policy import Policy
from otcache.http._readers import readers_of
from otcache.http._routes import Route
from otcache.http._stored_response import FORMAT

_CREDENTIALS: Final = ("authorization", "cookie", "proxy-authorization")
_DEPENDENCY: Final = (
    "is not cached: {names} may read anything of the request. Say what decides the answer by vary=, cookies=, "
    "private_by= or shared=True; or otcache.http.input_free({name}) if nothing does"
)
_MIDDLEWARE: Final = (
    "is not cached: the middleware {names} may set anything. The headers that it reads must be in vary=; or write "
    "cookies=, private_by= or shared=True, or otcache.http.input_free({name}) if none decides"
)


class RequestKey:
    """The key of one request.

    Attributes:
        body: The request's body, as far as the response depends on it.
    """

    def __init__(
        self, policy: Policy, route: Route, request: Request, arguments: Mapping[str, Any], cache: Cache
    ) -> None:
        self.body = b""
        self._policy = policy
        self._route = route
        self._inputs = route.inputs
        self._request = request
        self._arguments = arguments
        self._cache = cache
        self._owner: str | None = None
        self._anything = self._inputs.whole
        self._undecided: tuple[str, ...] = ()

    # --- is it known? -------------------------------------------------------------------------------

    async def unknown(self) -> str | None:
        """Return what of the response's dependence on the request is not known; `None`: `text` says it all."""
        if self._policy.private_by is not None:
            self._owner = await owner_of(self._policy.private_by, self._request, self._arguments)
            reason = "owner" if self._owner is None else None
        elif self._policy.shared:
            reason = None
        else:
            reason = self._unknown_reader()
        return reason or await self._read_body()

    def _unknown_reader(self) -> str | None:
        """Return why the answer may be somebody's whom the key does not name."""
        inputs, named = self._inputs, bool(self._policy.vary or self._policy.cookies)
        if inputs.unknown and not named:
            return self._tell("unknown-dependency", inputs.unknown, _DEPENDENCY)
        readers = readers_of(self._request)
        if readers.unknown and not named:
            return self._tell("unknown-middleware", readers.unknown, _MIDDLEWARE)
        self._anything = inputs.whole or bool(readers.unknown)
        given = {"header": self._request.headers, "query": self._request.query_params, "cookie": self._request.cookies}
        known = any(name in given[place] for place, name in inputs.credentials)
        self._undecided = tuple(name for name in _CREDENTIALS if self._is_undecided(name, readers.cookies))
        return "credentials" if known or any(name in self._request.headers for name in self._undecided) else None

    def _is_undecided(self, credential: str, cookies_are_read: bool) -> bool:
        """Whether somebody may read a credential that is not in the key: a request that has it passes by."""
        return (self._anything or (credential == "cookie" and cookies_are_read)) and not self._decides(credential)

    def _decides(self, credential: str) -> bool:
        """Whether the key contains all that counts of a credential."""
        named = credential == "cookie" and (self._policy.cookies is not None or self._inputs.cookies is None)
        return named or credential in self.headers

    def _tell(self, reason: str, names: tuple[str, ...], text: str) -> str:
        """Say once why this route is not cached, and what to write."""
        if names not in self._route.told:
            self._route.told.add(names)
            about = text.format(names=", ".join(names[:3]), name=names[0])
            self._cache.tell_uncached(self._route.path, f"{self._request.method} {self._route.path} {about}")
        return reason

    async def _read_body(self) -> str | None:
        if self._request.method != "POST" and not self._inputs.body and not self._anything:
            return None
        try:
            self.body = await self._request.body()
        except RuntimeError:  # a form, whose stream FastAPI has consumed
            return "form"
        return "body" if len(self.body) > self._policy.body_limit else None

    # --- the key ------------------------------------------------------------------------------------

    @property
    def varies(self) -> tuple[str, ...]:
        """The headers that responses depend on: declared, telling whose they are, or making requests pass by."""
        owner = ("authorization", "cookie") if self._policy.private_by is not None else ()
        cookies = ("cookie",) if self._policy.cookies or self._inputs.cookies != () else ()
        schemes = () if self._policy.shared else self._inputs.credential_headers
        return tuple(dict.fromkeys((*self.headers, *owner, *cookies, *schemes, *self._undecided)))

    @property
    def headers(self) -> tuple[str, ...]:
        """The headers that are part of the key; without Authorization where the policy says whose the response is."""
        decided = ("authorization",) if self._policy.shared or self._policy.private_by is not None else ()
        declared = (name for name in self._inputs.headers if name not in decided)
        return tuple(dict.fromkeys((*self._policy.vary, *declared)))

    def text(self) -> str:
        """Return `http:{method}:{path}:{digest}`: the route in clear, and nothing that a client sends readable.

        `http:GET:/users/{user_id}:` begins every key of that route.
        """
        request, scope = self._request, self._request.scope
        parts = {
            "format": FORMAT,
            "code": self._inputs.code,
            "application": _application(scope, request.headers.get("host")),
            "path": {name: str(value) for name, value in request.path_params.items()},
            "query": self._query(),
            "headers": {name: request.headers.getlist(name) for name in self.headers},
            "cookies": dict(self._cookies()),
            "owner": self._owner,
            "body": [_digest(self.body), request.headers.getlist("content-type")] if self.body else None,
            "whole": self._whole() if self._anything else None,
        }
        text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return f"http:{method_of(request)}:{self._route.path}:{_digest(text.encode())}"

    def _query(self) -> Any:
        """Return the parameters that count, of each name in their order; as it was sent where any may count."""
        declared = None if self._anything else self._inputs.query
        named = declared if self._policy.query is None else self._policy.query
        if named is None:
            return self._request.scope["query_string"].decode("latin-1")
        return sorted(
            (pair for pair in self._request.query_params.multi_items() if pair[0] in named), key=lambda pair: pair[0]
        )

    def _cookies(self) -> Iterator[tuple[str, Any]]:
        if self._inputs.cookies is None and self._policy.cookies is None:
            yield "", self._request.headers.getlist("cookie")
        for name in (*(self._inputs.cookies or ()), *(self._policy.cookies or ())):
            yield name, self._request.cookies.get(name)

    def _whole(self) -> list[Any]:
        """Return what else an endpoint can read that takes the whole request, without its headers."""
        scope = self._request.scope
        raw_path = scope.get("raw_path") or scope["path"].encode()
        return [scope["method"], str(self._request.base_url), scope["path"], raw_path.decode("latin-1")]


def _application(scope: Any, host: str | None) -> list[Any]:
    """Return what tells apart the applications that have a route: below another one, a `Host` may have chosen."""
    app = scope.get("app")
    is_below = getattr(app, "router", None) is not scope.get("router")
    return [getattr(app, "title", None), scope.get("root_path", ""), host if is_below else None]


def method_of(request: Request) -> str:
    """Return the method whose responses may answer the request."""
    return "GET" if request.method == "HEAD" else request.method


def _digest(what: bytes) -> str:
    """Return 128 bits: no two requests share a key by chance."""
    return blake2b(what, digest_size=16).hexdigest()

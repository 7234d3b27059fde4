"""What the response to a request depends on: whether that is known, its key, and the headers that it varies by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from starlette.requests import Request

from otcache.http._policy import Policy
from otcache.http._routes import Route
from otcache.http._stored_response import FORMAT


class RequestKey:
    """The key of one request.

    Attributes:
        body: The request's body, as far as the response depends on it.
    """

    def __init__(self, policy: Policy, route: Route, request: Request, arguments: Mapping[str, Any]) -> None:
        self.body = b""
        self._policy = policy
        self._route = route
        self._request = request
        self._arguments = arguments
        self._owner: str | None = None

    async def unknown(self) -> str | None:
        """Return what of the response's dependence on the request is not known; `None`: `text` says it all."""
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
            self.body = await self._request.body()
        except RuntimeError:  # a form, whose stream FastAPI has consumed
            return "form"
        return "body" if len(self.body) > self._policy.body_limit else None

    @property
    def varies(self) -> tuple[str, ...]:
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

    def text(self) -> str:
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
            "body": [_digest(self.body), request.headers.get("content-type")] if self.body else None,
        }
        text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return f"http:{method_of(request)}:{self._route.path}:{_digest(text.encode())}"


def method_of(request: Request) -> str:
    """Return the method whose responses may answer the request."""
    return "GET" if request.method == "HEAD" else request.method


def _digest(what: bytes) -> str:
    """Return 128 bits: no two requests share a key by chance."""
    return blake2b(what, digest_size=16).hexdigest()

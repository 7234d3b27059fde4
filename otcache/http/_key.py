"""The key of a response: the route in clear, and a digest of everything else that the response depends on."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

PREFIX: Final = "http:"
_BYTES: Final = 16
"""Bytes of the digest; at 128 bits, no two requests share a key by chance."""


def response_key(method: str, template: str, parts: Any) -> str:
    """Return `http:{method}:{template}:{digest}`.

    Nothing that a client sends is readable in the key. `http:GET:/users/{user_id}:` begins every key of that route.

    Args:
        method: The method; GET for a HEAD.
        template: The route's path, with its parameters in braces.
        parts: Everything else that the response depends on, in JSON types.
    """
    return f"{PREFIX}{method}:{template}:{_digest(parts)}"


def _digest(parts: Any) -> str:
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=_BYTES).hexdigest()


def body_digest(body: bytes) -> str:
    """Return a digest of a request's body."""
    return blake2b(body, digest_size=_BYTES).hexdigest()

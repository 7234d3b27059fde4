"""The key of a response: the route in clear, everything else that it depends on as a digest."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

PREFIX: Final = "http:"
_BYTES: Final = 16
"""Bytes, 128 bits: no two requests share a key by chance."""


def response_key(method: str, template: str, parts: Any) -> str:
    """`http:{method}:{template}:{digest}`.

    Nothing that a client sends is readable in it. `http:GET:/users/{user_id}:` begins every key of that route.

    Args:
        method: GET for HEAD too.
        template: The route's path, with its parameters in braces.
        parts: What else the response depends on; of JSON's types.
    """
    return f"{PREFIX}{method}:{template}:{_digest(parts)}"


def _digest(parts: Any) -> str:
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=_BYTES).hexdigest()


def body_digest(body: bytes) -> str:
    """128 bits of a request's body."""
    return blake2b(body, digest_size=_BYTES).hexdigest()

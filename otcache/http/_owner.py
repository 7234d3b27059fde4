"""Whose a response is, by the developer's `private_by`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from starlette.exceptions import HTTPException

from otcache.exceptions import ConfigurationError

_log: Final = logging.getLogger("otcache.http")


async def owner_of(private_by: str | Callable[..., Any], request: Any, arguments: Mapping[str, Any]) -> str | None:
    """Return whose response it is; `None` if `private_by` doesn't know: it gives nothing, or raises.

    Raises:
        ConfigurationError: `private_by` gives a type whose text may differ for the same user.
        HTTPException: `private_by` refuses the request.
    """
    try:
        owner = await _owner(private_by, request, arguments)
    except HTTPException:
        raise
    except Exception as exc:  # noqa: BLE001  the application's own code, of which the endpoint needs nothing
        _log.warning("private_by raised %s: the request passes by the cache", type(exc).__name__)
        return None
    if owner is None or owner == "":
        return None
    kind = next((kind for kind in (str, int, UUID) if isinstance(owner, kind)), None)
    if kind is None or isinstance(owner, bool):
        raise ConfigurationError(f"private_by gives {type(owner).__name__}, not a string, an integer or a UUID")
    return f"{kind.__name__}:{_text(owner)}"


async def _owner(private_by: str | Callable[..., Any], request: Any, arguments: Mapping[str, Any]) -> Any:
    if callable(private_by):
        owner = private_by(request)
        return await owner if hasattr(owner, "__await__") else owner
    name, *path = private_by.split(".")
    owner = arguments[name]
    for part in path:
        owner = getattr(owner, part, None)
    return owner


def _text(owner: str | int | UUID) -> str:
    """Return the value itself: a subclass may show two users alike."""
    if isinstance(owner, str):
        return str.__str__(owner)
    return f"{int(owner):x}" if isinstance(owner, int) else owner.hex

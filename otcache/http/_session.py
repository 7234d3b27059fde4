"""Whether a run of an endpoint used the session that a middleware keeps for one user.

What it read is that user's; what it wrote becomes a `Set-Cookie` only after the response has left us.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

Scope = MutableMapping[str, Any]


def has_session(scope: Scope) -> bool:
    """Whether a middleware around us may add a cookie to any response."""
    return "session" in scope


def session_used(scope: Scope) -> bool:
    """Whether the session has been used so far.

    Older versions of Starlette and other middlewares don't tell: there, a session with content counts as used.
    """
    session = scope.get("session")
    return bool(getattr(session, "accessed", session))


@contextmanager
def session_watch(scope: Scope) -> Iterator[list[bool]]:
    """Yield a list that at the end holds whether the session was used inside."""
    session: Any = scope.get("session")
    used = session_used(scope)
    inside: list[bool] = []
    if used and hasattr(session, "accessed"):
        session.accessed = False
    try:
        yield inside
    finally:
        inside.append(session_used(scope) or scope.get("session") is not session)
        if used and hasattr(session, "accessed"):
            session.accessed = True  # the middleware adds `Vary: Cookie` by it

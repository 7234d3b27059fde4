"""What redis-py raises, as `StoreError`: the one translation at the edge."""

from __future__ import annotations

from typing import Final

from redis import exceptions as redis_errors

from otcache.exceptions import StoreError

_PREFIXES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.NoScriptError, "NOSCRIPT"),
    (redis_errors.ExecAbortError, "EXECABORT"),
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
    (redis_errors.MovedError, "MOVED"),
    (redis_errors.AskError, "ASK"),
    (redis_errors.TryAgainError, "TRYAGAIN"),
    (redis_errors.ClusterCrossSlotError, "CROSSSLOT"),
)
"""Classes whose message redis-py has stripped of the server's prefix, narrowest first."""

_AUTH: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM", "DENIED"})
_AWAY: Final = frozenset({"NOAUTH", "WRONGPASS", "DENIED", "LOADING", "MASTERDOWN", "CLUSTERDOWN"})
"""Prefixes that say the server is of no use for any key; the others concern one command or one key."""

_TOO_MANY_CLIENTS: Final = "max number of clients reached"
_POOL_EXHAUSTED: Final = "Too many connections"


def translate(exc: BaseException) -> StoreError:
    """The error of the store for what redis-py, asyncio or the socket raised.

    The server's own words decide if it answered; the class of `exc` if it did not.
    """
    if isinstance(exc, StoreError):
        return exc
    prefix = server_prefix(exc)
    return _client_error(exc) if prefix is None else _server_error(prefix, exc)


def server_prefix(exc: BaseException) -> str | None:
    """The error prefix the server answered with (`OOM`, `WRONGTYPE`); `None` if it did not answer."""
    if isinstance(exc, redis_errors.ConnectionError) and isinstance(exc.__context__, redis_errors.ReadOnlyError):
        return "READONLY"  # Sentinel's connections rewrite a demoted master's answer into a ConnectionError
    code = getattr(exc, "status_code", None)  # redis-py 7.1 and later
    if isinstance(code, str):
        return code
    for kind, prefix in _PREFIXES:
        if isinstance(exc, kind):
            return prefix
    if isinstance(exc, redis_errors.AuthenticationError):
        return _auth_prefix(str(exc))
    if isinstance(exc, redis_errors.ResponseError):
        word = str(exc).partition(" ")[0]
        # before redis-py 7.1 "ERR" is stripped: "ACL failure in script" begins with no prefix
        return word if word.isupper() and word.isalpha() and word != "ACL" else "ERR"
    return "ERR" if _is_refused(exc) else None


def _auth_prefix(message: str) -> str:
    """Before redis-py 7.1 one class and a stripped message stand for three answers."""
    if message.startswith(("Authentication required", "HELLO must be called")):
        return "NOAUTH"
    return "ERR" if "called without any password" in message or "no password is set" in message else "WRONGPASS"


def _is_refused(exc: BaseException) -> bool:
    return isinstance(exc, redis_errors.ConnectionError) and _TOO_MANY_CLIENTS in str(exc)


def _server_error(prefix: str, exc: BaseException) -> StoreError:
    if _is_refused(exc):
        return StoreError("connection", prefix, counts=True)
    if prefix in _AUTH:
        return StoreError("auth", prefix, counts=prefix in _AWAY)
    if isinstance(exc, redis_errors.AuthenticationError):
        return StoreError("auth", prefix, counts=True)  # AUTH sent to a server that has no password
    return StoreError("server_error", prefix, counts=prefix in _AWAY)


def _client_error(exc: BaseException) -> StoreError:
    if isinstance(exc, (redis_errors.TimeoutError, TimeoutError)):  # the latter: ETIMEDOUT
        return StoreError("timeout", _name(exc), counts=True)
    if _is_exhausted(exc):
        return StoreError("connection", "redis.exceptions.MaxConnectionsError", counts=False)
    away = isinstance(
        exc,
        # RuntimeError: a transport or an event loop that was closed under the call
        (redis_errors.ConnectionError, redis_errors.InvalidResponse, OSError, EOFError, RuntimeError),
    )
    return StoreError("connection", _name(exc), counts=away)


def _is_exhausted(exc: BaseException) -> bool:
    """Before redis-py 6 the standalone pool raised a plain ConnectionError."""
    if isinstance(exc, redis_errors.MaxConnectionsError):
        return True
    return isinstance(exc, redis_errors.ConnectionError) and str(exc) == _POOL_EXHAUSTED


def _name(exc: BaseException) -> str:
    kind = type(exc)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

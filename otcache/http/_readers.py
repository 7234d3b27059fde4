"""Who has seen a request before its route: the middleware of all applications above, and what wraps them.

An application knows its own middleware; nobody knows what wraps it, or stands between it and a parent. But whoever
has been given the request waits for us: its frame is on the stack, or on that of the task that began ours. Tasks of
anyio, in which `BaseHTTPMiddleware` runs the rest, know that task; where nobody does, who waits is unknown.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import FrameType
from typing import Any, Final, NamedTuple

import anyio
from starlette.requests import Request

from otcache.http._input_free import is_free_code, is_free_package, is_input_free, name_of

_BASE: Final = "starlette.middleware.base.BaseHTTPMiddleware"
_COOKIES: Final = "starlette.middleware.sessions.SessionMiddleware"
_AUTHENTICATION: Final = "starlette.middleware.authentication.AuthenticationMiddleware"
_QUIET: Final = frozenset(
    {
        # CORS, GZip, TrustedHost, HTTPSRedirect, the handlers of errors: nothing goes to an endpoint from them
        "starlette", "fastapi", "opentelemetry", "otcache",
        # servers, their clients in tests, and what they run on
        "uvicorn", "uvicorn_worker", "hypercorn", "granian", "daphne", "asgiref", "mangum", "gunicorn",
        "httpx", "httpx2", "anyio", "asyncio", "contextlib", "functools", "concurrent", "threading",
    }
)  # fmt: skip
"""Packages that set nothing by which an answer could be somebody's; `_SPEAKERS` are the exceptions."""
_SPEAKERS: Final = frozenset({_BASE, _COOKIES, _AUTHENTICATION})
_SPEAKING: Final = frozenset({"opentelemetry.instrumentation.asgi", *(name.rpartition(".")[0] for name in _SPEAKERS)})
_HOOKS: Final = ("server_request_hook", "client_request_hook")
"""OpenTelemetry's middleware gives the request to these."""
_APPLICATIONS: Final = frozenset({"starlette", "fastapi", "opentelemetry", "contextlib", "functools"})
"""Packages that a server or a test calls from a coroutine of its own: whoever makes a task of them, is somebody."""
_LOOP: Final = frozenset({"asyncio.events", "asyncio.base_events", "asyncio.runners"})
_IDENTITIES: Final = ("user", "auth", "session")
"""What a middleware sets in a scope by convention."""


class Reader(NamedTuple):
    """One that has seen a request: `module.name` of its class or function, how it is called, and whether it is free."""

    full: str
    name: str
    is_free: bool


@dataclass(frozen=True, slots=True)
class Readers:
    """What is known of those who have seen a request.

    Attributes:
        unknown: Names of those that may have set anything, by any header.
        cookies: Whether one of them reads cookies.
    """

    unknown: tuple[str, ...]
    cookies: bool


def readers_of(request: Request) -> Readers:
    """Return who has seen the request."""
    scope = request.scope
    heard = [each for each in (*_declared(scope), *_waiting(_stack()), *_around()) if _is_heard(each.full)]
    unknown = _unknown(heard)
    if not heard:  # an identity by somebody whom we can't see
        unknown = [f"scope[{name!r}]" for name in _IDENTITIES if name in scope]
    return Readers(tuple(dict.fromkeys(unknown)), any(each.full == _COOKIES for each in heard))


def unknown_middleware(app: Any) -> tuple[str, ...]:
    """Return the names of the middleware of an application that may set anything, as far as it is declared."""
    return tuple(dict.fromkeys(_unknown([each for each in _declared({"app": app}) if _is_heard(each.full)])))


def _unknown(heard: list[Reader]) -> list[str]:
    return [each.name for each in heard if not each.is_free and each.full != _COOKIES]


@lru_cache(maxsize=1024)
def _place(module: str) -> str:
    """Return what a frame of the module may be; asked for each frame of each request."""
    if module in _LOOP:
        return "loop"
    if module in _SPEAKING:
        return "speaks"
    return "quiet" if module.partition(".")[0] in _QUIET else "foreign"


def _is_heard(full: str) -> bool:
    is_quiet = full.partition(".")[0] in _QUIET or is_free_package(full)
    return full in _SPEAKERS or not is_quiet


def _declared(scope: Mapping[str, Any]) -> Iterator[Reader]:
    """Yield the middleware of the route's application and of the outermost one."""
    outermost = getattr(scope.get("router"), "dependency_overrides_provider", None)
    apps = {id(app): app for app in (scope.get("app"), outermost)}
    for app in apps.values():
        for each in getattr(app, "user_middleware", ()):
            options = each.kwargs if hasattr(each, "kwargs") else each.options
            yield _reader(each.cls, options.get("dispatch"))
            yield from _hooks(options)


def _hooks(options: Mapping[str, Any]) -> Iterator[Reader]:
    for name in _HOOKS:
        if options.get(name) is not None:
            yield _reader(inspect.unwrap(options[name]), None)


def _reader(kind: Any, function: Any) -> Reader:
    full = f"{getattr(kind, '__module__', '')}.{name_of(kind)}"
    what = function if full == _BASE else kind
    return Reader(full, name_of(what), is_input_free(what))


def _stack() -> Iterator[FrameType]:
    """Yield the frames of this task, from the route outwards."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and _place(_module(frame)) != "loop":
        yield frame
        frame = frame.f_back


def _waiting(frames: Iterable[FrameType]) -> Iterator[Reader]:
    """Yield what was called with a scope and waits for us."""
    for frame in frames:
        module = _module(frame)
        place = _place(module)
        if place == "speaks":
            middleware = frame.f_locals.get("self")
            if middleware is not None:
                yield _reader(type(middleware), getattr(middleware, "dispatch_func", None))
                yield from _hooks(getattr(middleware, "__dict__", {}))
        elif place == "foreign" and not is_free_package(module) and _is_application(frame):
            yield _waiter(frame, module)


def _module(frame: FrameType) -> str:
    module: str = frame.f_globals.get("__name__", "")
    return module


def _around() -> Iterator[Reader]:
    """Yield what waits for the task in which we run."""
    task = asyncio.current_task()
    root: Any = None if task is None else task.get_coro()
    if _began_by(root) == "anyio":
        tasks = {each.id: each for each in anyio.get_running_tasks()}
        above = tasks[anyio.get_current_task().id].parent_id
        while above in tasks:
            root = tasks[above].coro
            yield from _waiting(_frames_of(root))
            above = tasks[above].parent_id if _began_by(root) == "anyio" else None
    if _began_by(root) == "somebody":
        yield Reader("", "<a task of its own>", False)


def _frames_of(coroutine: Any) -> Iterator[FrameType]:
    """Yield the frames of a task that waits."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)


def _began_by(root: Any) -> str:
    """Return who has begun a task: "anyio", "somebody" by a middleware, or else a server, a client or a test."""
    frame: FrameType | None = getattr(root, "cr_frame", None)
    if frame is None:
        return ""
    package, code = _module(frame).partition(".")[0], frame.f_code
    given = [] if package in _QUIET else [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount]]
    if package in _APPLICATIONS or any(map(inspect.iscoroutine, given)):
        return "somebody"
    return "anyio" if package == "anyio" else ""


def _waiter(frame: FrameType, module: str) -> Reader:
    code = frame.f_code
    first = frame.f_locals.get(code.co_varnames[0]) if code.co_varnames else None
    full, is_free = f"{module}.{code.co_qualname}", is_free_code(code)
    if first is None or isinstance(first, Mapping):  # a function
        return Reader(full, code.co_qualname.rpartition("<locals>.")[2], is_free)
    return Reader(full, name_of(type(first)), is_free or is_input_free(type(first)))


def _is_application(frame: FrameType) -> bool:
    """Whether a frame is that of an ASGI application: called with a scope and two functions, whatever their names."""
    code, values = frame.f_code, frame.f_locals
    given = [values.get(name) for name in code.co_varnames[: code.co_argcount]]
    if code.co_flags & 0x04:  # CO_VARARGS
        given += values.get(code.co_varnames[code.co_argcount + code.co_kwonlyargcount], ())
    return any(
        isinstance(scope, Mapping) and scope.get("type") == "http" and callable(receive) and callable(send)
        for scope, receive, send in zip(given, given[1:], given[2:], strict=False)
    )

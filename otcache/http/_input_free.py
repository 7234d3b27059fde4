"""What reads nothing of a request that decides an answer: the developer's word, and FastAPI's own security schemes."""

from __future__ import annotations

from functools import partial
from types import CodeType, MethodType
from typing import Any, Final, TypeVar

from otcache.exceptions import ConfigurationError

T = TypeVar("T")

_MARK: Final = "__otcache_input_free__"
_CODES: Final[set[CodeType]] = set()
_PACKAGES: Final[set[str]] = set()


def input_free(what: T) -> T:
    """Say that what `what` reads of a request decides no answer, and return it: `pool = Depends(input_free(get_pool))`.

    Args:
        what: A dependency that takes the `Request` (for a pool in `app.state`, say); a middleware: its class, its
            function, or a function that returns one; a route class; or the name of a package whose middleware wraps
            the application by itself (`"sentry_sdk"`). What a dependency declares by `Header()` and the like stays
            in the key, and what it depends on is looked at by itself. A subclass is not marked with its base.

    Raises:
        ConfigurationError: It can't be marked.
    """
    if isinstance(what, str):
        _PACKAGES.add(what)
        return what
    marked: Any = what.__func__ if isinstance(what, MethodType) else what
    try:
        setattr(marked, _MARK, marked)
    except (AttributeError, TypeError) as exc:
        raise ConfigurationError(f"input_free can't mark a {type(what).__name__}: give a function or a class") from exc
    _CODES.update(_codes(getattr(marked, "__code__", None)))
    return what


def _codes(code: Any) -> set[CodeType]:
    """Return a function's code and that of the functions in it: a middleware is often one that another returns."""
    if not isinstance(code, CodeType):
        return set()
    return {code}.union(*(_codes(inner) for inner in code.co_consts))


def is_input_free(what: Any) -> bool:
    """Whether `what` itself was marked: `functools.wraps`, instances and subclasses hand the attribute on."""
    own = what.__func__ if isinstance(what, MethodType) else what
    mark = getattr(own, _MARK, None)
    return mark is not None and mark is own


def is_free_code(code: CodeType) -> bool:
    """Whether it is the code of a function that was marked."""
    return code in _CODES


def is_free_package(module: str) -> bool:
    """Whether a module is of a package that was marked."""
    return any(module == name or module.startswith(f"{name}.") for name in _PACKAGES)


def name_of(what: Any) -> str:
    """Return how a function, a class or an instance is called in its source."""
    while isinstance(what, partial):
        what = what.func
    name = str(getattr(what, "__qualname__", None) or type(what).__qualname__)
    return name.rpartition("<locals>.")[2]

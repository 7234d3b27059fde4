"""Parts of the tests of cached functions: a counted function, and classes that only look like other packages'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otcache import InMemoryCache, cached


def keyed(template: str | None, function: Callable[..., Any], **options: Any) -> Callable[..., str]:
    """The key that a cached function makes of its arguments."""
    decorate: Any = cached(template, cache=InMemoryCache(), **options)  # type: ignore[arg-type]
    key: Callable[..., str] = decorate(function).key
    return key


def foreign(module: str, name: str) -> type:
    """A class as another package defines it, by module and name."""
    return type(name, (), {"__module__": module})


class Counted:
    """An async function that tells how often it was called, and with what."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def note(self, *arguments: Any) -> int:
        """One more call; how many there were."""
        self.calls.append(arguments)
        return len(self.calls)

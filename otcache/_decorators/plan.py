"""What otcache works out once for each cached function, when the function is decorated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from otcache._decorators.cache_source import UsableCache, source_of, usable, usable_of
from otcache._decorators.generated_code import Source
from otcache._decorators.key_template import parse
from otcache._decorators.parameters import Parameters, names_of
from otcache._decorators.signature import signature_of, value_type
from otcache.base import CacheInterface
from otcache.cache import Cache

_KNOWN_CACHE: Final = "{own}known"
_SOURCED_CACHE: Final = (
    "{own}returned if {own}isinstance({own}returned := {own}source(), {own}Cache) else await {own}usable({own}returned)"
)
"""Python source, in a call of a cached function; most sources return the cache at once, which costs no `await`."""


class Plan:
    """The key, the tags, the cache and the options of one cached function."""

    def __init__(self, function: Callable[..., Any], template: str | None, cache: Any, options: dict[str, Any]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._signature = signature_of(function)
        parameters = Parameters(self.name, self._signature, names_of("ignore", options.get("ignore", ())))
        self.template = parameters.template(template)
        self._code = Source(self._signature, self.name)
        self._key = self._code.key(self.template)
        self._tags = [self._code.key(parameters.check(parse(tag))) for tag in names_of("tags", options.get("tags", ()))]
        self._left_out = parameters.left_out(self.template)
        self._options = {name: value for name, value in options.items() if name not in ("ignore", "tags", "type")}
        self._options["template"] = self.template.text
        self._declared = options.get("type")
        self._known = usable(cache) if isinstance(cache, CacheInterface) else None
        self._source = source_of(cache)

    def call(self, *, bound: bool) -> Callable[..., Any]:
        """Generate the wrapper: `__call__` of a function, or of a function that is bound to an instance."""
        if self._known is not None:
            return self._code.call(self.template, _KNOWN_CACHE, {"known": self._known}, bound=bound)
        names = {"source": self._source, "usable": usable_of, "isinstance": isinstance, "Cache": Cache}
        return self._code.call(self.template, _SOURCED_CACHE, names, bound=bound)

    async def cache(self) -> UsableCache:
        """Return the cache, as it is now."""
        return self._known or await usable_of(self._source())

    def signature(self, *, bound: bool) -> inspect.Signature:
        """Return what tools show, FastAPI among them: annotations are resolved, a bound instance is left out."""
        parameters = list(self._signature.parameters.values())
        return self._signature.replace(parameters=parameters[1:] if bound else parameters)

    def value_type(self) -> Any:
        """Return the declared type of the values.

        It is resolved at the first load, not at decoration: the annotation may name a class that is defined later.
        """
        if self._declared is None:
            self._declared = value_type(signature_of(self.function)) or False
        return self._declared or None

    def key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the key of these arguments; those that the key doesn't contain may be left out."""
        absent = {name: None for at, name in self._left_out if at >= len(args) and name not in kwargs}
        return self._key(*args, **kwargs, **absent)

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Callable[[], Any], dict[str, Any]]:
        """Return the loader for these arguments, and the options of the load."""
        tags = [tag(*args, **kwargs) for tag in self._tags]
        return partial(self.function, *args, **kwargs), {**self._options, "tags": tags, "type": self.value_type()}

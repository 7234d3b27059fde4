"""What is worked out once for each cached function, when it is decorated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from otcache.functions.ask import asker, settle
from otcache.functions.parameters import Parameters, names_of
from otcache.functions.signature import signature_of, value_type
from otcache.functions.source import Source
from otcache.functions.template import parse
from otcache.pipeline import Pipeline

_ASKED: Final = "{own}found if {own}isinstance({own}found := {own}ask(), {own}Cache) else await {own}settle({own}found)"


class Plan:
    """The key, the tags, the cache and the options of one cached function."""

    def __init__(self, function: Callable[..., Any], template: str | None, cache: Any, options: dict[str, Any]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._signature = signature_of(function)
        parameters = Parameters(self.name, self._signature, names_of("ignore", options.get("ignore", ())))
        self.template = parameters.template(template)
        self._source = Source(self._signature, self.name)
        self._key = self._source.key(self.template)
        self._tags = [
            self._source.key(parameters.check(parse(tag))) for tag in names_of("tags", options.get("tags", ()))
        ]
        self._left_out = parameters.left_out(self.template)
        self._options = {name: value for name, value in options.items() if name not in ("ignore", "tags", "type")}
        self._options["template"] = self.template.text
        self._declared = options.get("type")
        self._cache = cache
        self._ask = (lambda: cache) if isinstance(cache, Pipeline) else asker(cache)

    def call(self, *, bound: bool) -> Callable[..., Any]:
        """The wrapper: `__call__` of a function, or of one that is bound to an instance."""
        if isinstance(self._cache, Pipeline):
            return self._source.call(self.template, "{own}source", {"source": self._cache}, bound=bound)
        names = {"ask": self._ask, "settle": settle, "isinstance": isinstance, "Cache": Pipeline}
        return self._source.call(self.template, _ASKED, names, bound=bound)

    async def cache(self) -> Pipeline:
        """The cache, as it is now."""
        return await settle(self._ask())

    def signature(self, *, bound: bool) -> inspect.Signature:
        """What tools show, FastAPI among them: annotations are resolved, an instance that is bound is left out."""
        parameters = list(self._signature.parameters.values())
        return self._signature.replace(parameters=parameters[1:] if bound else parameters)

    def value_type(self) -> Any:
        """The declared type of the values. Asked at the first load: an annotation may name a class that comes later."""
        if self._declared is None:
            self._declared = value_type(signature_of(self.function)) or False
        return self._declared or None

    def key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The key of these arguments; those that are no part of it may be left out."""
        absent = {name: None for at, name in self._left_out if at >= len(args) and name not in kwargs}
        return self._key(*args, **kwargs, **absent)

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Callable[[], Any], dict[str, Any]]:
        """The loader for these arguments, and the options that go with it."""
        tags = [tag(*args, **kwargs) for tag in self._tags]
        return partial(self.function, *args, **kwargs), {**self._options, "tags": tags, "type": self.value_type()}

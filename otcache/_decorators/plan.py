"""What otcache works out once for each cached function, when the function is decorated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from otcache._decorators.cache_source import UsableCache, source_of, usable, usable_of
from otcache._decorators.generated_code import Source
from otcache._decorators.key_template import Template, parse
from otcache._decorators.return_type import check_types, value_type
from otcache._decorators.signature import Parameter, is_harmless, signature_of
from otcache.base import CacheInterface
from otcache.cache import Cache
from otcache.config._nearest import did_you_mean
from otcache.exceptions import ConfigurationError

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
        check_types(self.name, self._signature, options.get("type"))
        parameters = _Parameters(self.name, self._signature, _names_of("ignore", options.get("ignore", ())))
        self.template = parameters.template(template)
        self._code = Source(self._signature, self.name)
        self._key = self._code.key(self.template)
        self._tags = [
            self._code.key(parameters.check(parse(tag))) for tag in _names_of("tags", options.get("tags", ()))
        ]
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


# --- no parameter that matters may be missing from the key ---------------------------------------------


class _Parameters:
    """The parameters of one function, checked against its templates and against those that its author ignores."""

    def __init__(self, function: str, signature: inspect.Signature, ignored: tuple[str, ...]) -> None:
        self._function = function
        self._all = dict(signature.parameters)
        self._ignored = frozenset(ignored)
        self._harmless = {part.name for at, part in enumerate(self._all.values()) if is_harmless(part, first=not at)}
        for name in ignored:
            if name not in self._all:
                raise ConfigurationError(f"{function} ignores {name}, {self._unknown(name)}")

    def template(self, text: str | None) -> Template:
        """Return the given template if it names every parameter that matters; without one, make one that does."""
        if text is None:
            matter = [name for name in self._all if name not in self._ignored | self._harmless]
            return self.check(parse(":".join([self._function, *(f"{{{name}}}" for name in matter)])))
        template = self.check(parse(text))
        named = {field.name for field in template.fields}
        for name in self._all.keys() - named - self._ignored - self._harmless:
            raise ConfigurationError(
                f"{self._function} has a parameter {name} that is not in its key template {text!r}: calls that differ "
                f"in it alone would share a value. Add {{{name}}}, or say that it can't matter: ignore=({name!r},)"
            )
        for name in named & self._ignored:
            raise ConfigurationError(f"{self._function} ignores {name}, and names it in {text!r}")
        return template

    def check(self, template: Template) -> Template:
        """Return `template` if every field is a parameter that can be part of a key."""
        for field in template.fields:
            parameter = self._all.get(field.name)
            if parameter is None:
                raise ConfigurationError(f"{template.text!r} names {field.name}, {self._unknown(field.name)}")
            if parameter.kind is Parameter.VAR_KEYWORD:
                raise ConfigurationError(f"{template.text!r} names **{field.name}: name parameters, or ignore it")
            if str(field) in ("self", "cls") and parameter is next(iter(self._all.values())):
                raise ConfigurationError(f"{template.text!r} names {field}: name an attribute of it, {{{field}.name}}")
        return template

    def left_out(self, template: Template) -> list[tuple[float, str]]:
        """Return the parameters that the key doesn't contain, each with how many arguments come before it."""
        named = {field.name for field in template.fields}
        places = {Parameter.POSITIONAL_OR_KEYWORD: 0.0, Parameter.KEYWORD_ONLY: float("inf")}
        return [
            (at + places[part.kind], name)
            for at, (name, part) in enumerate(self._all.items())
            if name not in named and part.kind in places
        ]

    def _unknown(self, name: str) -> str:
        known = ", ".join(self._all) or "no parameters"
        return f"and {self._function} has {known}{did_you_mean(name, self._all)}"


def _names_of(option: str, names: Any) -> tuple[str, ...]:
    """Return the strings of an option; a single string is refused, not split into letters."""
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{option}= is not a tuple of strings: {option}=('name',)")
    return tuple(names)

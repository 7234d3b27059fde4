"""What otcache works out once for each cached function, when the function is decorated."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from otcache._decorators.cache_source import UsableCache, source_of, usable, usable_of
from otcache._decorators.closure import Closure
from otcache._decorators.generated_code import NoTagError, Source
from otcache._decorators.key_template import Template, parse
from otcache._decorators.key_values import fit
from otcache._decorators.names import claim_template, function_name
from otcache._decorators.return_type import check_types, value_type
from otcache._decorators.signature import Parameter, injected, never_in_key, signature_of
from otcache._serialization.keys import MAX_TAGS
from otcache.base import CacheInterface, Loaded, run_loader
from otcache.cache import Cache
from otcache.config._nearest import did_you_mean
from otcache.exceptions import ConfigurationError, ValidationError
from otcache.telemetry.catalog import CALL_BYPASSED, TAG_OMITTED, Event

_KNOWN_CACHE: Final = "{own}known"
_SOURCED_CACHE: Final = (
    "{own}returned if {own}isinstance({own}returned := {own}source(), {own}Cache) else await {own}usable({own}returned)"
)
"""Python source, in a call of a cached function; most sources return the cache at once, which costs no `await`."""


_MOST_REASONS: Final = 16
"""Reasons that are told of one function."""


class Request(NamedTuple):
    """A call of a cached function, as the cache is asked for it."""

    key: str
    load: Callable[[], Any]
    options: dict[str, Any]


class Plan:
    """The key, the tags, the cache and the options of one cached function."""

    def __init__(self, function: Callable[..., Any], template: str | None, cache: Any, options: dict[str, Any]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._signature = signature_of(function)
        check_types(self.name, self._signature, options.get("type"))
        closure = Closure(function)
        parameters = _Parameters(self.name, self._signature, _names_of("ignore", options.get("ignore", ())), closure)
        self.template = parameters.automatic(function) if template is None else parameters.template(template)
        self._code = Source(self._signature, self.name, closure)
        self._key = self._code.key(self.template)
        tags = [parameters.check(parse(tag)) for tag in _names_of("tags", options.get("tags", ()))]
        if len(tags) > MAX_TAGS:
            raise ConfigurationError(f"tags= has {len(tags)} tags, above {MAX_TAGS}")
        self._tags = [(tag.text, self._code.key(tag, tag=True)) for tag in tags]
        self._left_out = parameters.left_out(self.template)
        self._options = {name: value for name, value in options.items() if name not in ("ignore", "tags", "type")}
        self._options["template"] = self.template.text
        self._declared = options.get("type")
        self._known = usable(cache) if isinstance(cache, CacheInterface) else None
        self._source = source_of(cache)
        self._told: set[str] = set()

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
        return fit(self._key(*args, **kwargs, **absent))

    def request(
        self, cache: UsableCache, args: tuple[Any, ...], kwargs: dict[str, Any], key: str | None = None
    ) -> Request | None:
        """Return what to ask the cache for; `None`, and that is told, for arguments that no key or tag can hold.

        `key` is the key, if it is known.
        """
        try:
            key = self.key_of(args, kwargs) if key is None else fit(key)
            tags = [found for text, tag in self._tags if (found := self._tag(cache, text, tag, args, kwargs))]
        except ValidationError as exc:
            self._tell(cache, CALL_BYPASSED, f"{self.name} runs without the cache: {exc.message}")
            return None
        return Request(key, self._loader(cache, key, args, kwargs), self._load_options(tags))

    async def bypass(self, cache: UsableCache, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function, without the cache."""
        return await cache.bypass(partial(self.function, *args, **kwargs), self.template.text)

    def _loader(self, cache: UsableCache, key: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any]:
        """Return the function with its arguments; what it returns is stored if the key still names them then.

        A list that was changed meanwhile, or a variable of the closure, may have been read after it was.
        """

        async def load() -> Loaded[Any]:
            loaded = await run_loader(partial(self.function, *args, **kwargs))
            try:
                if self.key_of(args, kwargs) == key:
                    return loaded
            except ValidationError:
                pass
            self._tell(cache, CALL_BYPASSED, f"{self.name} is not stored: what its key names changed while it ran")
            return replace(loaded, store=False)

        vars(load)["__wrapped__"] = self.function  # spans name the function
        return load

    def _load_options(self, tags: list[str]) -> dict[str, Any]:
        return {**self._options, "tags": tags, "type": self.value_type()}

    def _tag(
        self, cache: UsableCache, text: str, tag: Callable[..., str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> str | None:
        try:
            return fit(tag(*args, **kwargs))
        except NoTagError as exc:
            self._tell(cache, TAG_OMITTED, f"{self.name} is stored without the tag {text}: {exc.message}")
            return None

    def _tell(self, cache: UsableCache, event: Event, body: str) -> None:
        if body not in self._told and len(self._told) < _MOST_REASONS:
            self._told.add(body)
            cache.report(event, body, self.template.text)


# --- no parameter that matters may be missing from the key ---------------------------------------------


class _Parameters:
    """What one function reads, checked against its templates and against what its author ignores."""

    def __init__(self, function: str, signature: inspect.Signature, ignored: tuple[str, ...], closure: Closure) -> None:
        self._function = function
        self._all = dict(signature.parameters)
        self._closure = closure
        self._ignored = frozenset(ignored)
        for name in ignored:
            if name not in (*self._all, *closure.cells, *closure.contexts):
                raise ConfigurationError(f"{function} ignores {name}, {self._unknown(name)}")

    def automatic(self, function: Any) -> Template:
        """Return a template of the function's name, all parameters that are not ignored, and its closure.

        Raises:
            ConfigurationError: A parameter, or a variable of the closure, has to be named or ignored by the author; or
                the function's name may be another's.
        """
        matter = [name for name in self._all if name not in self._ignored]
        for name in matter:
            if (what := self._unfit(self._all[name])) is not None:
                raise ConfigurationError(
                    f"{self._function} has {what}: give a template that names what tells two of them apart, such as "
                    f"{{{name}.{_telling(name)}}}, or say that it can't matter: ignore=({name!r},)"
                )
        named = function_name(function)
        self._closure.check(self._function, self._ignored)
        matter += [name for name in self._closure.cells if name not in self._ignored]
        text = ":".join([named, *(f"{{{name}}}" for name in matter)])
        claim_template(function, named, text)
        return self.check(parse(text))

    def template(self, text: str) -> Template:
        """Return the given template if it names every parameter that is not ignored.

        Raises:
            ConfigurationError: It doesn't, or names something that is ignored.
        """
        template = self.check(parse(text))
        named = {field.name for field in template.fields}
        for name in self._all.keys() - named - self._ignored:
            what = self._unfit(self._all[name])
            field = f"{{{name}}}" if what is None else f"{{{name}.{_telling(name)}}}"
            raise ConfigurationError(
                f"{self._function} has {what or f'a parameter {name}'} that is not in its key template {text!r}: calls "
                f"that differ in it alone would share a value. Add {field}, or say that it can't matter: "
                f"ignore=({name!r},)"
            )
        for name in named & self._ignored:
            raise ConfigurationError(f"{self._function} ignores {name}, and names it in {text!r}")
        return template

    def check(self, template: Template) -> Template:
        """Return `template` if every field is a parameter, or a variable of the closure, that can be part of a key."""
        for field in template.fields:
            parameter = self._all.get(field.name)
            if parameter is None and field.name not in self._closure.cells:
                raise ConfigurationError(f"{template.text!r} names {field.name}, {self._unknown(field.name)}")
            if parameter is None or field.path:
                continue
            if self._is_instance(parameter):
                raise ConfigurationError(f"{template.text!r} names {field}: name an attribute of it, {{{field}.name}}")
            if (cls := never_in_key(parameter.annotation)) is not None:
                raise ConfigurationError(
                    f"{template.text!r} names {field}, and {cls.__qualname__} is no type of a key: name an attribute "
                    f"of it, {{{field}.name}}"
                )
        return template

    def _unfit(self, parameter: Parameter) -> str | None:
        """Return what a parameter is, if its author has to say what of it matters; `None` for a value."""
        name, cls = parameter.name, never_in_key(parameter.annotation)
        if self._is_instance(parameter):
            return f"a parameter {name} (what the method is called on)"
        if cls is not None:
            return f"a parameter {name} (of the class {cls.__qualname__})"
        return f"a parameter {name} (which is injected)" if injected(parameter) is not None else None

    def _is_instance(self, parameter: Parameter) -> bool:
        return parameter.name in ("self", "cls") and parameter is next(iter(self._all.values()))

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
        names = [*self._all, *self._closure.cells]
        return f"and {self._function} has {', '.join(names) or 'no parameters'}{did_you_mean(name, names)}"


def _names_of(option: str, names: Any) -> tuple[str, ...]:
    """Return the strings of an option; a single string is refused, not split into letters."""
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{option}= is not a tuple of strings: {option}=('name',)")
    return tuple(names)


def _telling(name: str) -> str:
    """Return an attribute that may tell two arguments apart: an example, for the author to put another in its place."""
    return "__qualname__" if name == "cls" else "id"

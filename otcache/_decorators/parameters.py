"""The parameters of a function checked against its templates: no parameter that matters may be missing."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from otcache._decorators.key_template import Template, parse
from otcache._decorators.signature import Parameter, is_harmless
from otcache.config._nearest import did_you_mean
from otcache.exceptions import ConfigurationError


class Parameters:
    """The parameters of one function.

    Args:
        function: The function's name, for errors.
        signature: The signature, its annotations resolved.
        ignored: The parameters that the function's author keeps out of the key.

    Raises:
        ConfigurationError: The function has no parameter of an ignored name.
    """

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


def names_of(option: str, names: Any) -> tuple[str, ...]:
    """Return the strings of an option; a single string is refused, not split into letters."""
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{option}= is not a tuple of strings: {option}=('name',)")
    return tuple(names)

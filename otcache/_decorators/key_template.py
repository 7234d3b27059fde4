"""A key template, `user:{user_id}`: which parameters it names, and which signs keep their values apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import Final, NamedTuple

from otcache.exceptions import ConfigurationError

OWN_SIGNS: Final = "%~(),"
"""Signs that key_values.py writes around and between values; a template can't separate values by them."""

_NAME: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


class Field(NamedTuple):
    """A `{name}` or `{name.attribute}`: a parameter, and the path of attributes to follow from its value."""

    name: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.name, *self.path))


class Template(NamedTuple):
    """A parsed template; its literals stand before, between and after the fields: one more than there are fields."""

    text: str
    literals: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def separators(self) -> frozenset[str]:
        """The signs that values contain only escaped, so that it is clear where a value ends."""
        between = "".join(self.literals[1:-1])
        return frozenset(":" + "".join(sign for sign in between if _separates(sign)))


def parse(text: str) -> Template:
    """Parse a template.

    Raises:
        ConfigurationError: `text` is no string or is empty, a field is not `{name}` or `{name.attribute}`, or nothing
            between two fields keeps their values apart, or there is a `~`, which only otcache writes.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"a key template is {type(text).__name__}, not a string such as 'user:{{user_id}}'")
    if not text.strip() or not text.isprintable():
        raise ConfigurationError(f"the key template {text!r} is empty, or has a sign that can't be printed")
    literals, fields = [""], []
    for literal, field in _pieces(text):
        literals[-1] += literal
        if field is not None:
            fields.append(_field(text, field))
            literals.append("")
    template = Template(text, tuple(literals), tuple(fields))
    _check_apart(template)
    if any("~" in literal for literal in literals):
        raise ConfigurationError(f"the key template {text!r} has a ~, by which otcache marks types and long keys")
    return template


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    try:
        for literal, field, spec, conversion in Formatter().parse(text):
            if spec or conversion:
                raise ConfigurationError(f"the key template {text!r} formats {{{field}}}: values are written by type")
            yield literal, field
    except ValueError as exc:
        raise ConfigurationError(f"the key template {text!r} can't be read: {exc}") from None


def _field(text: str, field: str) -> Field:
    if not _NAME.fullmatch(field):
        raise ConfigurationError(f"the key template {text!r} has {{{field}}}, not {{name}} or {{name.attribute}}")
    name, *path = field.split(".")
    return Field(name, tuple(path))


def _check_apart(template: Template) -> None:
    """Refuse two fields without a separator between: ('a', 'bc') and ('ab', 'c') would have one key."""
    for at, literal in enumerate(template.literals[1:-1]):
        if not any(map(_separates, literal)):
            one, other = template.fields[at : at + 2]
            raise ConfigurationError(
                f"the key template {template.text!r} has nothing between {{{one}}} and {{{other}}} that keeps them "
                f"apart: put a sign such as ':' there (letters, digits and {' '.join(OWN_SIGNS)} are none)"
            )


def _separates(sign: str) -> bool:
    return not sign.isalnum() and sign not in OWN_SIGNS

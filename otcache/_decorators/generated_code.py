"""The code of a wrapper, generated once from a signature: Python binds the arguments, as for any function."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from otcache._decorators.closure import Closure, at_path
from otcache._decorators.key_template import Field, Template
from otcache._decorators.key_values import TEXT, Declared, Writer
from otcache._decorators.signature import Parameter, attribute_type, declared
from otcache.base import MISSING
from otcache.exceptions import ValidationError

_KEY: Final = """\
def key({parameters}):
    return {key}
"""

_FIRST: Final = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)

_CALL: Final = """\
async def call({parameters}):{bind}
    try:
        {own}key = {key}
    except {own}Exception:
        pass
    else:
        {own}cache = {cache}
        {own}value = {own}cache.hit({own}key, {template!r})
        if {own}value is not {own}missing:
            return {own}value
        return await {own}cached._load({own}cache, {own}key, ({positional}), {{{named}}})
    return await {own}cached._load(None, None, ({positional}), {{{named}}})
"""
"""A call never fails for its key: what can't be written quickly is left to `_load`."""


class NoTagError(ValidationError):
    """A tag names something that is `None`: there is no such tag."""


class Source:
    """Generates functions with the parameters of one signature; `name` is the function's, for tracebacks."""

    def __init__(self, signature: inspect.Signature, name: str, closure: Closure) -> None:
        self._parameters = list(signature.parameters.values())
        self._name = name
        self._closure = closure
        self._own = "_"  # begins our own names in the code, and no parameter's
        while any(parameter.name.startswith(self._own) for parameter in self._parameters):
            self._own += "_"

    def key(self, template: Template, *, tag: bool = False) -> Callable[..., str]:
        """Generate a function of the same parameters that returns the key, or a tag, or raises `ValidationError`."""
        names: dict[str, Any] = {}
        expression = self._expression(template, names, quick=False, tag=tag)
        text = _KEY.format(parameters=_declare(self._parameters), key=expression)
        return self._compile("key", template, text, names, self._parameters)

    def call(self, template: Template, cache: str, names: Mapping[str, Any], *, bound: bool) -> Callable[..., Any]:
        """Generate the wrapper, as the method `__call__` of a `CachedFunction`.

        Args:
            template: The key.
            cache: A Python expression whose value is the cache; it refers to `names`, each with `{own}` in front.
            names: The objects that the expression uses.
            bound: Whether the first parameter is the instance of a bound method, which callers don't pass.
        """
        own, every = self._own, self._parameters
        if bound and not (every and every[0].kind in _FIRST):
            raise TypeError(f"{self._name} takes no instance")
        first, rest = (every[0].name, every[1:]) if bound else ("", every)
        names = {**names, "missing": MISSING, "Exception": Exception}
        scope = {own + name: value for name, value in names.items()}
        # positional only: `**options` may hold any name
        parameters = [Parameter(f"{own}cached", Parameter.POSITIONAL_ONLY), *rest]
        text = _CALL.format(
            own=own,
            parameters=_declare(parameters),
            bind=f"\n    ({first},) = {own}cached._bound" if bound else "",
            key=self._expression(template, scope),
            template=template.text,
            cache=cache.format(own=own),
            positional="".join(f"{_star(part)}{part.name}, " for part in every if _is_positional(part)),
            named=", ".join(_pass_named(part) for part in every if not _is_positional(part)),
        )
        return self._compile("call", template, text, scope, rest)

    def _expression(self, template: Template, names: dict[str, Any], *, quick: bool = True, tag: bool = False) -> str:
        """Return an f-string that fills in a template; the objects that it uses are added to `names`.

        `quick` writes integers and plain text in the line itself: not those that Python or UTF-8 refuses to write.
        """
        own, writer = self._own, Writer(template.separators)
        names |= {f"{own}int": int, f"{own}str": str, f"{own}type": type, f"{own}reserved": writer.first_reserved}
        parts = [_quote(template.literals[0])]
        for at, (field, literal) in enumerate(zip(template.fields, template.literals[1:], strict=True)):
            parameter = next((part for part in self._parameters if part.name == field.name), None)
            kind = TEXT if parameter is None else _declared(parameter, field)
            names[f"{own}text_{at}"] = _text(self._written(writer, parameter, field, kind), field, tag=tag)
            text = f"{own}text_{at}({field.name if parameter is not None else ''})"
            if quick and parameter is not None and not field.path:
                text = self._shortcut(writer, kind, field.name, text)
            parts += ["{", text, "}", _quote(literal)]
        return 'f"{}"'.format("".join(parts))

    def _written(self, writer: Writer, parameter: Parameter | None, field: Field, kind: Declared) -> Callable[..., str]:
        """Return what writes the value of a field: of a parameter, or of the closure."""
        if parameter is None:
            return partial(self._closure.text, field.name, field.path, writer)
        return lambda value: writer.write(at_path(value, field.path), kind)

    def _shortcut(self, writer: Writer, kind: Declared, name: str, text: str) -> str:
        """Ask `type`, under a name of ours: a mock's `__class__` is that of what it stands for."""
        own = self._own
        if kind.cls is int and not writer.first_reserved("-"):
            return f"{name} if {own}type({name}) is {own}int else {text}"
        if kind.cls is str:
            plain = f"{own}type({name}) is {own}str and ({name}.isalnum() or {own}reserved({name}) is None)"
            return f"{name} if {plain} else {text}"
        return text

    def _compile(
        self, kind: str, template: Template, text: str, names: dict[str, Any], parameters: list[Parameter]
    ) -> Callable[..., Any]:
        filename = f"<{kind} {template.text!r} of {self._name}>"
        exec(compile(text, filename, "exec"), names)  # noqa: S102  from names and literals of the program itself
        linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)  # for tracebacks
        function: Callable[..., Any] = names[kind]
        named = [part for part in parameters if part.kind is Parameter.KEYWORD_ONLY]
        function.__defaults__ = tuple(
            part.default for part in parameters if part not in named and part.default is not Parameter.empty
        )
        function.__kwdefaults__ = {part.name: part.default for part in named if part.default is not Parameter.empty}
        return function


# --- parameters -----------------------------------------------------------------------------------------


def _declare(parameters: Iterable[Parameter]) -> str:
    """Return the parameters as code, without annotations; the defaults are placeholders, filled in afterwards."""
    bare = [
        part.replace(annotation=Parameter.empty, default=Parameter.empty if part.default is Parameter.empty else None)
        for part in parameters
    ]
    return str(inspect.Signature(bare))[1:-1]


def _is_positional(parameter: Parameter) -> bool:
    return parameter.kind in (*_FIRST, Parameter.VAR_POSITIONAL)


def _star(parameter: Parameter) -> str:
    return "*" if parameter.kind is Parameter.VAR_POSITIONAL else ""


def _pass_named(parameter: Parameter) -> str:
    name = parameter.name
    return f"**{name}" if parameter.kind is Parameter.VAR_KEYWORD else f"{name!r}: {name}"


# --- the key --------------------------------------------------------------------------------------------


def _declared(parameter: Parameter, field: Field) -> Declared:
    kind = declared(attribute_type(parameter.annotation, field.path))
    if field.path or parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
        return kind
    return Declared(tuple, kind) if parameter.kind is Parameter.VAR_POSITIONAL else Declared(dict)


def _quote(literal: str) -> str:
    return "".join({"{": "{{", "}": "}}", '"': '\\"', "\\": "\\\\"}.get(sign, sign) for sign in literal)


def _text(write: Callable[..., str], field: Field, *, tag: bool) -> Callable[..., str]:
    """Return a function that writes one field of a template; its errors name the field, and are all of one kind."""

    def text(*value: Any) -> str:
        try:
            if tag and value and _is_none(value[0], field.path):
                raise NoTagError(f"{field} is None")
            return write(*value)
        except NoTagError:
            raise
        except ValidationError as exc:
            raise ValidationError(
                f"{field} is {exc.message}; or leave it out of the key: ignore=({field.name!r},)"
            ) from None
        except Exception as exc:  # a property of the application's, a list that contains itself
            raise ValidationError(f"{field} can't be written into a key: {type(exc).__name__}") from exc

    return text


def _is_none(value: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if value is None:
            break
        value = getattr(value, name)
    return value is None

"""Annotations: the classes that one names, and its text, which is the same in every process."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    NamedTuple,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

_UNIONS: Final = (Union, types.UnionType)
_ALIAS: Final = "TypeAliasType"
"""By name: Python's own since 3.12, `typing_extensions`' before."""


class Found(NamedTuple):
    """The classes in an annotation, in order, each once; `complete` unless a name in it can't be looked up yet."""

    classes: tuple[type, ...]
    complete: bool


def classes_of(annotation: Any, module: str = "") -> Found:
    """Return the classes that an annotation names, through aliases, new types, unions and arguments; never raise.

    Args:
        annotation: Whatever stands there; a class or `list[User]`, a string, `None`, or nothing that makes sense.
        module: Where the names in its strings are looked up.
    """
    search = _Search(module)
    search.visit(annotation)
    return Found(tuple(search.found), search.complete)


class _Search:
    """One walk through an annotation. An alias may be part of its own value, so each is entered once."""

    def __init__(self, module: str) -> None:
        self.found: dict[type, None] = {}
        self.complete = True
        self._module = module
        self._entered: list[Any] = []  # aliases by id, strings by module and text

    def visit(self, part: Any) -> None:
        try:
            for inner in self._parts(part):
                self.visit(inner)
        except Exception:  # noqa: BLE001  an annotation is any expression, and looking a name up may do anything
            self.complete = False

    def _parts(self, part: Any) -> Iterator[Any]:
        """Yield what an annotation is made of; note it if it is a class."""
        if isinstance(part, str | ForwardRef):
            yield from self._looked_up(part)
        elif isinstance(part, list | tuple):  # the parameters of a Callable
            yield from part
        elif get_origin(part) is not None:
            yield from self._arguments(get_origin(part), get_args(part))
        elif isinstance(part, NewType):
            yield part.__supertype__
        elif isinstance(part, TypeVar):
            yield from (part.__bound__, *part.__constraints__)
        elif _is_typed_dict(part) or type(part).__name__ == _ALIAS:
            yield from self._once(part)
        elif isinstance(part, type):
            self.found[part] = None

    @staticmethod
    def _arguments(origin: Any, arguments: tuple[Any, ...]) -> Iterable[Any]:
        if origin is Annotated:
            return arguments[:1]
        return map(type, arguments) if origin is Literal else (origin, *arguments)

    def _once(self, named: Any) -> Iterator[Any]:
        """Yield what stands behind a name, with the names of its own module."""
        if id(named) in self._entered:
            return
        self._entered.append(id(named))
        outer, self._module = self._module, named.__module__
        try:
            yield from get_type_hints(named).values() if _is_typed_dict(named) else (named.__value__,)
        finally:
            self._module = outer

    def _looked_up(self, text: str | ForwardRef) -> Iterator[Any]:
        # `Json = dict[str, "Json"] | list["Json"]` names itself twice, and so does each of its answers
        place = self._module, text if isinstance(text, str) else text.__forward_arg__
        if place not in self._entered:
            self._entered.append(place)
            names = vars(sys.modules[self._module])
            holder = types.SimpleNamespace(__annotations__={"it": text})
            yield get_type_hints(holder, names, {}, include_extras=True)["it"]


def _is_typed_dict(part: Any) -> bool:
    """Also one of `typing_extensions`, which `typing.is_typeddict` doesn't know."""
    return isinstance(part, type) and "__required_keys__" in vars(part)


def text_of(annotation: Any) -> str:
    """Return an annotation as text without addresses, metadata and line breaks: equal in every process."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, list | tuple):
        return f"[{','.join(map(text_of, annotation))}]"
    if origin is Annotated:
        return text_of(arguments[0])
    if origin is Literal:
        return f"Literal[{','.join(map(_literal, arguments))}]"
    if origin in _UNIONS:
        return "|".join(map(text_of, arguments))
    if origin is not None:
        return f"{text_of(origin)}[{','.join(map(text_of, arguments))}]"
    name = getattr(annotation, "__qualname__", None) or getattr(annotation, "__name__", None)
    return f"{getattr(annotation, '__module__', '')}.{name}" if name else type(annotation).__qualname__


def _literal(value: Any) -> str:
    return f"{text_of(type(value))}.{value.name}" if isinstance(value, Enum) else repr(value)

"""The parameters of a function: what their annotations declare, and which of them no key can contain."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

from otcache._decorators.key_values import TEXT, Declared, declared_as, kind_of

Parameter = inspect.Parameter

_INJECTED: Final = frozenset({"Depends", "Security"})
_UNIONS: Final = (Union, types.UnionType)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of `function`, with each annotation resolved that can be resolved now.

    An annotation that can't be (a name that only a type checker sees) leaves the others alone.
    """
    signature = inspect.signature(function)
    parameters = [p.replace(annotation=_resolve(function, p.annotation)) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=_resolve(function, signature.return_annotation))


def _resolve(function: Callable[..., Any], annotation: Any) -> Any:
    if annotation is Parameter.empty:
        return annotation
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    wrapped = inspect.unwrap(function)
    names, own = getattr(wrapped, "__globals__", {}), getattr(wrapped, "__type_params__", ())  # def first[T](...)
    try:
        resolved = get_type_hints(holder, names, {each.__name__: each for each in own}, include_extras=True)["it"]
    except Exception:  # noqa: BLE001  an annotation is any expression, and any of them may fail
        return annotation
    return None if resolved is types.NoneType else resolved


# --- what an annotation declares ------------------------------------------------------------------------


def declared(annotation: Any, depth: int = 8) -> Declared:
    """Return what an annotation declares; of a union, the first type that is not `None`.

    An alias may name itself, so there is a `depth` below which nothing is declared.
    """
    annotation = _plain(annotation) if depth else None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in _UNIONS:
        return declared(next(part for part in arguments if part is not types.NoneType), depth - 1)
    if origin is Literal:
        return declared(type(arguments[0]))
    cls = origin or annotation
    found = declared_as(cls) if isinstance(cls, type) else None
    if found is None:
        return TEXT
    items = {part for part in arguments if part is not ...}
    return Declared(found.cls, declared(items.pop(), depth - 1)) if len(items) == 1 else found


def _plain(annotation: Any) -> Any:
    """Return an annotation without `Annotated`, `NewType`, type variables and aliases."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if isinstance(annotation, NewType):
        return _plain(annotation.__supertype__)
    if isinstance(annotation, TypeVar):
        return _plain(annotation.__bound__)
    return _plain(_unaliased(annotation)) if _is_alias(annotation) else annotation


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"  # Python 3.12


def _unaliased(annotation: Any) -> Any:
    try:
        return _unaliased(annotation.__value__) if _is_alias(annotation) else annotation
    except Exception:  # noqa: BLE001  as in _resolve; also an alias of itself
        return None


def attribute_type(annotation: Any, path: Iterable[str]) -> Any:
    """Return the annotation at the end of a path of attributes of `annotation`; `None` if it has none."""
    for name in path:
        cls = _plain(annotation)
        if get_origin(cls) in _UNIONS:
            cls = next(part for part in get_args(cls) if part is not types.NoneType)
        found = getattr(get_origin(cls) or cls, name, None)
        annotation = _hints(found.fget).get("return") if isinstance(found, property) else _hints(cls).get(name)
    return annotation


def _hints(holder: Any) -> dict[str, Any]:
    try:
        return get_type_hints(get_origin(holder) or holder, include_extras=True)
    except Exception:  # noqa: BLE001  as in _resolve: what can't be resolved declares nothing
        return {}


# --- what can't be part of a key ------------------------------------------------------------------------


def never_in_key(annotation: Any) -> type | None:
    """Return the class that an annotation names, if no value of it can be part of a key: a request, a model."""
    classes = list(_members(annotation))
    return classes[0] if classes and all(map(_is_no_key, classes)) else None


def _members(annotation: Any) -> Iterable[Any]:
    """Yield the classes of an annotation, except `None`; `object` for what is no class, or was not resolved."""
    annotation = _plain(annotation)
    if get_origin(annotation) in _UNIONS:
        for part in get_args(annotation):
            yield from _members(part)
    elif annotation is not types.NoneType:
        cls = get_origin(annotation) or annotation
        yield cls if isinstance(cls, type) else object


def _is_no_key(cls: type) -> bool:
    """Whether `cls` says what its instances are, and that is no key; a protocol, or `Sequence`, says too little."""
    is_open = getattr(cls, "_is_protocol", False) or cls.__module__ in ("collections.abc", "numbers")
    return not (is_open or cls in (object, Any, Parameter.empty)) and kind_of(cls) is None


def injected(parameter: Parameter) -> Any:
    """Return FastAPI's marker, from the default or from the metadata of the annotation; `None` if there is none."""
    extras = getattr(_unaliased(parameter.annotation), "__metadata__", ())
    return next((marker for marker in (parameter.default, *extras) if is_dependency(marker)), None)


def is_dependency(marker: Any) -> bool:
    """Whether `marker` comes from FastAPI's `Depends` or `Security`."""
    classes = type(marker).__mro__
    return any(cls.__name__ in _INJECTED and cls.__module__.partition(".")[0] == "fastapi" for cls in classes)

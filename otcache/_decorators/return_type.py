"""The return annotation of a function: which types its values need declared, and which can't be kept at all."""

from __future__ import annotations

import inspect
from typing import Any, Union

from otcache._serialization.annotations import classes_of
from otcache._serialization.declared import is_declarable, is_entity, why_not
from otcache._serialization.types import REGISTRY
from otcache.base import Loaded
from otcache.exceptions import ConfigurationError, ValidationError


def value_type(signature: inspect.Signature) -> Any:
    """Return a `type=` for what the function returns (docs/values.md); `None` if nothing has to be declared.

    Never raises: what an annotation can't declare is not kept, and the caller gets it all the same.
    """
    kinds = [cls for cls in classes_of(signature.return_annotation).classes if cls is not Loaded and is_declarable(cls)]
    return Union[tuple(filter(_has_own_name, kinds))] if any(map(_has_own_name, kinds)) else None  # noqa: UP007


def _has_own_name(cls: type) -> bool:
    try:
        REGISTRY.scope(cls)
    except ValidationError:  # another type is declared under its name, or a field of it can't be kept
        return False
    return True


def check_types(name: str, signature: inspect.Signature, declared: Any) -> None:
    """Refuse a function whose values can't be kept, or must not reach another caller.

    Args:
        name: What the error calls the function.
        signature: The function's own, resolved.
        declared: Its `type=`.

    Raises:
        ConfigurationError: An annotation names an entity of an ORM, or `type=` is no type.
    """
    for cls in (*classes_of(signature.return_annotation).classes, *classes_of(declared).classes):
        if is_entity(cls):
            raise ConfigurationError(f"{name} can't be cached: {why_not(cls)}")
    try:
        REGISTRY.scope(declared)
    except ValidationError as exc:
        raise ConfigurationError(f"{name} can't be cached: {exc.message}") from None

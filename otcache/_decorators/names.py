"""Names that belong to one thing: what a key may call a function or a class."""

from __future__ import annotations

import sys
from functools import reduce
from types import FunctionType, ModuleType
from typing import Any, Final
from weakref import ref

from otcache.exceptions import ConfigurationError, ValidationError

_MAIN: Final = ("__main__", "__mp_main__")
_CLASSES: Final[dict[str, type]] = {}
_CODES: Final[dict[str, tuple[Any, Any, Any]]] = {}
"""Who has a name: a class; the code of a function, with the module that defines it and which run of it did."""
_TEMPLATES: Final[dict[str, tuple[Any, str]]] = {}
"""The template that was made of a function, by its name."""


def is_importable(thing: Any) -> bool:
    """Whether the name of a class or function leads to it, and to nothing else in any process."""
    module, path = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or module in _MAIN:
        return False
    return reduce(lambda found, name: getattr(found, name, None), path.split("."), sys.modules.get(module)) is thing


def class_name(cls: type) -> str:
    """Return the full name of a class.

    Raises:
        ValidationError: Another class has it: one that a function defines, say, at each call.
    """
    name = f"{cls.__module__}.{cls.__qualname__}"
    if _CLASSES.setdefault(name, cls) is not cls:
        if not is_importable(cls):
            raise ValidationError(f"of a class {cls.__qualname__} that shares its name with another one")
        _CLASSES[name] = cls  # a module that was reloaded
    return name


def function_name(function: Any) -> str:
    """Return a name that no other function has: that of its code, whatever `functools.wraps` has called it.

    Raises:
        ConfigurationError: There is none; the message says what to write instead.
    """
    if not isinstance(function, FunctionType):
        raise ConfigurationError(_refusal(function, f"is a {type(function).__name__}, not a function with a name"))
    code, module = function.__code__, sys.modules.get(function.__globals__.get("__name__", ""))
    name = f"{function.__globals__.get('__name__')}.{code.co_qualname}"
    if "<lambda>" in name:
        raise ConfigurationError(_refusal(function, "is a lambda, and any other lambda is called so too"))
    if module is not None and module.__name__ in _MAIN:
        raise ConfigurationError(_refusal(function, "is defined in __main__, and every script is called so"))
    if module is None or vars(module) is not function.__globals__ or code.co_filename.startswith("<"):
        raise ConfigurationError(_refusal(function, "is not in the file of a module that can be imported"))
    _claim(function, name, module)
    return name


def _claim(function: FunctionType, name: str, module: ModuleType) -> None:
    """Refuse a name that other code has; only a module that is reloaded may change what its functions do."""
    code, owner, run = _CODES.setdefault(name, (function.__code__, ref(module), module.__spec__))
    if code != function.__code__ and (run is module.__spec__ or owner() is not module):
        line = f"line {code.co_firstlineno} of {code.co_filename}"
        raise ConfigurationError(_refusal(function, f"has the name of another function ({line})"))
    _CODES[name] = (function.__code__, ref(module), module.__spec__)


def claim_template(function: Any, name: str, text: str) -> None:
    """Refuse to make a second template of one function that leaves out other parameters: a call could be either's."""
    code, before = _TEMPLATES.setdefault(name, (function.__code__, text))
    if code == function.__code__ and before != text:
        raise ConfigurationError(_refusal(function, "was decorated before, and then ignored something else"))
    _TEMPLATES[name] = (function.__code__, text)


def _refusal(function: Any, why: str) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return f'{name} {why}: give a template, @cached("a-name-of-its-own:{{parameter}}", cache=...)'

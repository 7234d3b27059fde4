"""Modules of functions made at random, and calls of them: what a cached function is compared with is the function."""

from __future__ import annotations

import importlib
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any, Final

from hypothesis import strategies as st

from otcache import ConfigurationError, cached

ANNOTATIONS: Final = (
    "",
    ": int",
    ": str",
    ": 'int | None'",
    ": 'tuple[int, ...]'",
    ": 'list[str]'",
    ": 'dict[str, int]'",
    ": object",
)
_NUMBERS: Final = itertools.count()


@dataclass(frozen=True)
class Parameter:
    """One parameter: its kind is that of `inspect`, by its number."""

    name: str
    kind: int
    annotation: str
    default: str | None
    is_ignored: bool

    def __str__(self) -> str:
        default = "" if self.default is None else f" = {self.default}"
        return f"{('', '', '*', '', '**')[self.kind]}{self.name}{self.annotation}{default}"


@dataclass(frozen=True)
class Spec:
    """One function of a module.

    Attributes:
        owner: What it is defined in: a factory ("def"), or a class, as a method ("self"), class method ("cls") or
            static method ("static").
        held: Variables of the closure; of a factory alone.
        wrapped: Whether a decorator of the application is between it and `cached`.
    """

    number: int
    owner: str
    parameters: tuple[Parameter, ...]
    held: tuple[str, ...]
    is_async: bool
    has_template: bool
    wrapped: bool

    @property
    def read(self) -> list[str]:
        """What the function's answer is made of."""
        of = {"self": ["self.tenant"], "cls": ["cls.tenant"]}.get(self.owner, [])
        return [*of, *(part.name for part in self.parameters if not part.is_ignored), *self.held]

    @property
    def template(self) -> str | None:
        """A template that names all of it."""
        return ":".join([f"t{self.number}", *(f"{{{name}}}" for name in self.read)]) if self.has_template else None

    def source(self) -> str:
        """The code: a factory, or a class, that is called with what its functions hold."""
        ignored = tuple(part.name for part in self.parameters if part.is_ignored)
        decorated = [
            *{"cls": ["@classmethod"], "static": ["@staticmethod"]}.get(self.owner, []),
            f"@attempt({self.template!r}, ignore={ignored!r})",
            *(["@wrapped"] if self.wrapped else []),
            f"{'async ' if self.is_async else ''}def read({self.declaration}):",
            f"    return shown({', '.join(self.read)})",
        ]
        head = (
            f"def make_{self.number}({', '.join(self.held)}):" if self.owner == "def" else f"class Owner_{self.number}:"
        )
        tail = ["return read"] if self.owner == "def" else []
        return "\n    ".join([head, *decorated, *tail]) + "\n"

    @property
    def declaration(self) -> str:
        """The parameters as code."""
        first = [self.owner] if self.owner in ("self", "cls") else []
        parts = list(map(str, self.parameters))
        kinds = [part.kind for part in self.parameters]
        if 3 in kinds and 2 not in kinds:
            parts.insert(kinds.index(3), "*")
        if 0 in kinds:
            parts.insert(kinds.count(0), "/")
        return ", ".join([*first, *parts])


NUMBERED: Final = st.integers(0, 4)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Functions of up to four parameters."""
    kinds = sorted(draw(st.lists(st.sampled_from([0, 1, 1, 2, 3, 4]), max_size=4)))
    kinds = [kind for at, kind in enumerate(kinds) if kind not in (2, 4) or kind not in kinds[:at]]
    has_defaults = False
    parameters = []
    for at, kind in enumerate(kinds):
        has_defaults = has_defaults or draw(st.booleans()) if kind < 2 else draw(st.booleans())
        default = draw(st.sampled_from(["1", "None", "'a'", "(1,)"])) if has_defaults and kind not in (2, 4) else None
        annotation = draw(st.sampled_from(ANNOTATIONS))
        parameters.append(Parameter(f"p{at}", kind, annotation, default, draw(st.sampled_from([False] * 4 + [True]))))
    owner = draw(st.sampled_from(["def", "def", "def", "self", "cls", "static"]))
    held = tuple(f"v{at}" for at in range(draw(st.integers(0, 2)))) if owner == "def" else ()
    wrapped = owner == "def" and draw(st.sampled_from([False, False, True]))
    has_template = not wrapped and draw(st.booleans())
    return Spec(next(_NUMBERS), owner, tuple(parameters), held, draw(st.booleans()), has_template, wrapped)


@st.composite
def calls(draw: st.DrawFn, parameters: tuple[Parameter, ...], pool: list[Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for them; now and then one too few, which the function refuses."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    value = st.integers(0, len(pool) - 1).map(pool.__getitem__)
    for part in parameters:
        may_leave_out = part.default is not None or draw(st.integers(0, 30)) == 0
        if part.kind == 2 and not kwargs:
            args += draw(st.lists(value, max_size=2))
        elif part.kind == 4:
            kwargs |= draw(
                st.dictionaries(st.sampled_from(["x", "y", "self", "key", "_cached", "_"]), value, max_size=2)
            )
        elif may_leave_out and draw(st.booleans()):
            kwargs.setdefault("", None)  # what follows is passed by name
        elif (part.kind == 0 and "" not in kwargs) or (part.kind == 1 and not kwargs and draw(st.booleans())):
            args.append(draw(value))
        elif part.kind in (1, 3):
            kwargs[part.name] = draw(value)
    kwargs.pop("", None)
    return args, kwargs


# --- the module -----------------------------------------------------------------------------------------

_HEAD: Final = """\
import functools
from tests.decorators.generated import shown

def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

"""


@contextmanager
def module_of(folder: Path, functions: list[Spec], cache: Any) -> Iterator[ModuleType]:
    """A module of these functions, each cached, or as it is if that is refused."""
    name = f"generated_{next(_NUMBERS)}"
    (folder / f"{name}.py").write_text(_HEAD + "\n".join(spec.source() for spec in functions))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()

    def attempt(template: str | None, **options: Any) -> Callable[[Any], Any]:
        def decorate(function: Any) -> Any:
            try:
                return cached(template, cache=cache, **options)(function)  # type: ignore[arg-type]
            except ConfigurationError:
                return function

        return decorate

    try:
        shared: Any = sys.modules[__name__]
        shared.attempt = attempt
        text = folder / f"{name}.py"
        text.write_text("from tests.decorators.generated import attempt\n" + text.read_text())
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)


def functions_of(module: ModuleType, spec: Spec, pool: list[Any]) -> list[Any]:
    """Two functions of one piece of code, made with different values of the pool."""
    one, other = pool[:2], pool[1:3]
    if spec.owner == "def":
        make = getattr(module, f"make_{spec.number}")
        return [make(*values[: len(spec.held)]) for values in (one, other)]
    owner = getattr(module, f"Owner_{spec.number}")
    kinds: list[Any] = [type(f"Sub{at}", (owner,), {"tenant": values[0]}) for at, values in enumerate((one, other))]
    return [kind.read if spec.owner == "cls" else kind().read for kind in kinds]


def plain(function: Any) -> Any:
    """The function without its cache."""
    inner: Any = getattr(function, "__func__", None)
    if isinstance(function, MethodType) and hasattr(inner, "key"):  # a class method, from Python 3.13 on
        return MethodType(inner.__wrapped__, function.__self__)
    return function.__wrapped__ if hasattr(function, "key") else function


def shown(*values: Any) -> str:
    """What tells values apart that a function can tell apart."""
    try:
        return ";".join(map(_shown, values))
    except RecursionError:
        return "endless"


def _shown(value: Any) -> str:
    cls = type(value)
    if isinstance(value, dict):
        parts = [f"{_shown(key)}={_shown(value[key])}" for key in value]
    elif isinstance(value, list | tuple):
        parts = [*map(_shown, value)]
    elif isinstance(value, set | frozenset):
        parts = sorted(map(_shown, value))
    elif isinstance(value, str):
        parts = [ascii(str.__str__(value)), str(getattr(value, "region", ""))]
    else:
        parts = [hex(value) if cls is int else repr(value)]
    return f"{cls.__module__}.{cls.__qualname__}({','.join(parts)})"

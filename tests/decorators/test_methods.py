"""Whatever a method is called on, and whatever that is called, two of them never share a value."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from otcache import InMemoryCache, cached
from tests.cases.expected import unless_refused
from tests.rows import every

F = TypeVar("F", bound=Callable[..., Any])
CACHE = InMemoryCache(name="methods")
attempt = unless_refused(cached(cache=CACHE))


def attempt_at(template: str) -> Callable[[F], F]:
    """Cache a method under a template; where that is refused, leave it alone."""
    return unless_refused(cached(template, cache=CACHE))


class Base:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    @attempt
    async def by_self(self) -> Any:
        return self.tenant

    @attempt
    async def by_another_name(this, row: int = 1) -> Any:  # noqa: N805
        return this.tenant

    @attempt_at("base:{row}")
    async def under_a_template(self, row: int = 1) -> Any:
        return self.tenant

    @attempt_at("base:{self.tenant}:{row}")
    async def by_a_field(self, row: int = 1) -> Any:
        return self.tenant

    @classmethod
    @attempt
    async def by_cls(cls) -> Any:
        return cls.__name__

    @classmethod
    @attempt
    async def by_klass(klass) -> Any:  # noqa: N804
        return klass.__name__

    @classmethod
    @attempt_at("base:{cls.__name__}")
    async def by_a_field_of_cls(cls) -> Any:
        return cls.__name__

    class Inner:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

        @attempt
        async def read(self) -> Any:
            return self.tenant

    @attempt
    async def __call__(self) -> Any:
        return self.tenant


class Acme(Base): ...


class Globex(Base): ...


async def assigned(self: Any) -> Any:
    return self.tenant


async def assigned_by_another_name(owner: Any) -> Any:
    return owner.tenant


Base.assigned = attempt(assigned)  # type: ignore[attr-defined]
Base.by_owner = attempt(assigned_by_another_name)  # type: ignore[attr-defined]


class Meta(type):
    @attempt
    async def read(cls) -> Any:
        return cls.__name__


class One(metaclass=Meta): ...


class Other(metaclass=Meta): ...


class Tenant(str):
    """A text with more to it."""

    def __new__(cls, text: str, region: str) -> Tenant:
        made = super().__new__(cls, text)
        made.region = region
        return made

    region: str

    @attempt
    async def read(this) -> Any:  # noqa: N805
        return this.region


class Point(NamedTuple):
    x: int

    @attempt
    async def read(this) -> Any:  # noqa: N805
        return this.x


class Size(Point):
    @attempt
    async def read(this) -> Any:  # noqa: N805
        return -this.x


@dataclass(frozen=True)
class Client:
    tenant: str

    @attempt
    async def read(self) -> Any:
        return self.tenant


def bound(tenant: str) -> Any:
    """A method that is cached when it is bound already."""
    return attempt(Base(tenant).by_a_field)


def unbound_partial(tenant: str) -> Any:
    """A partial object of a plain method."""
    return attempt(functools.partial(assigned, Base(tenant)))


class Callable_:  # noqa: N801
    """An object that is called like a function, and named like one."""

    def __init__(self, tenant: str) -> None:
        functools.update_wrapper(self, assigned)
        self.tenant = tenant

    async def __call__(self) -> Any:
        return self.tenant


Pair = tuple[Callable[[], Awaitable[Any]], Callable[[], Awaitable[Any]]]
PAIRS: list[Pair] = [
    *(
        (getattr(Base("acme"), name), getattr(Base("globex"), name))
        for name in ("by_self", "by_another_name", "under_a_template", "by_a_field", "assigned", "by_owner", "__call__")
    ),
    *((getattr(Acme, name), getattr(Globex, name)) for name in ("by_cls", "by_klass", "by_a_field_of_cls")),
    (Base.Inner("acme").read, Base.Inner("globex").read),
    (One.read, Other.read),
    (Tenant("a", "eu").read, Tenant("a", "us").read),
    (Point(1).read, Size(1).read),
    (Point(1).read, Point(2).read),
    (Client("acme").read, Client("globex").read),
    (bound("acme"), bound("globex")),
    (unbound_partial("acme"), unbound_partial("globex")),
    (attempt(Callable_("acme")), attempt(Callable_("globex"))),
    (attempt(Acme.by_klass), attempt(Globex.by_klass)),
]


@every("pair", PAIRS, ids=lambda pair: getattr(pair[0], "__qualname__", ""))
async def test_what_a_method_is_called_on_decides_its_answer(pair: Pair) -> None:
    answers = [await call() for call in (*pair, *pair)]

    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]

"""An entry of a type that has changed since is a miss, never a value with a default in the place of what was stored."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from enum import Flag
from typing import Any, Final

import pytest

from otcache._serialization.declared import Declared, describe
from otcache._serialization.serializer import DecodeError, Serializer, register_type
from otcache._serialization.tagged_json import dumps, loads
from otcache._serialization.types import Scope
from otcache.exceptions import ValidationError
from tests.rows import every
from tests.servers import RedisServer

HEADS: Final = """
from __future__ import annotations
import dataclasses
from enum import Enum, Flag, auto
from typing import *
from pydantic import BaseModel, Field, PrivateAttr
"""
KINDS: Final = {
    "model": "class User(BaseModel):\n    {}",
    "dataclass": "@dataclasses.dataclass\nclass User:\n    {}",
    "slots": "@dataclasses.dataclass(slots=True)\nclass User:\n    {}",
    "named tuple": "class User(NamedTuple):\n    {}",
}
BEFORE: Final = "name: str = 'ann'\n    age: int = 7"
CHANGES: Final = (
    "name: str = 'ann'\n    age: int = 7\n    admin: bool = True",
    "name: str = 'ann'",
    "name: str = 'ann'\n    age: str = '7'",
    "name: str = 'ann'\n    age: int | None = 7",
    "name: str = 'ann'\n    years: int = 7",
)


def row(source: str, version: int = 1) -> Declared:
    """The class `User` of a module with this source, as a process of its own sees it."""
    names: dict[str, Any] = {"__name__": "shop"}
    exec(HEADS + source, names)
    sys.modules.setdefault("shop", type(sys)("shop")).__dict__.update(names)
    return describe(names["User"], "user", version)


def read(payload: bytes, now: Declared) -> Any:
    return loads(payload, Scope([now]))


@every("kind", KINDS)
@every("after", CHANGES)
def test_an_entry_from_before_a_change_of_the_fields_is_not_read(kind: str, after: str) -> None:
    old = row(KINDS[kind].format(BEFORE))
    payload = dumps([old.cls()], Scope([old]))

    assert read(payload, row(KINDS[kind].format(BEFORE))) is not None
    with pytest.raises(DecodeError, match="fields or the version"):
        read(payload, row(KINDS[kind].format(after)))


def test_a_new_version_of_the_same_fields_is_not_read() -> None:
    source = KINDS["model"].format(BEFORE)
    old = row(source)
    payload = dumps(old.cls(), Scope([old]))

    with pytest.raises(DecodeError, match="fields or the version"):
        read(payload, row(source, version=2))


def test_fields_in_another_order_are_never_mixed_up() -> None:
    old = row("class User(NamedTuple):\n    x: int = 1\n    y: int = 2")

    with pytest.raises(DecodeError):
        read(dumps(old.cls(), Scope([old])), row("class User(NamedTuple):\n    y: int = 2\n    x: int = 1"))


def test_flags_with_other_numbers_are_not_read_and_an_enum_goes_by_its_names() -> None:
    old = row("class User(Flag):\n    READ = auto()\n    WRITE = auto()")
    payload = dumps(old.cls.READ, Scope([old]))  # type: ignore[attr-defined]
    with pytest.raises(DecodeError):
        read(payload, row("class User(Flag):\n    WRITE = auto()\n    READ = auto()"))

    enum = row("class User(Enum):\n    A = 1")
    payload = dumps(enum.cls.A, Scope([enum]))  # type: ignore[attr-defined]
    assert read(payload, row("class User(Enum):\n    B = 1\n    A = 2")).value == 2
    with pytest.raises(DecodeError):
        read(payload, row("class User(Enum):\n    B = 1"))


@every(
    "after",
    [
        "name: str = Field('bob', max_length=5)\n    age: int = 8",
        "name: Annotated[str, 'a note'] = 'ann'\n    age: int = 7\n    limit: ClassVar[int] = 3",
        "name: str = 'ann'\n    age: int = 7\n    def greet(self): ...",
    ],
)
def test_defaults_constraints_and_methods_change_no_shape(after: str) -> None:
    # without `from __future__ import annotations`, whose text has the metadata
    old = row(KINDS["model"].format(BEFORE))

    assert (row(KINDS["model"].format(after)).shape == old.shape) is ("Annotated" not in after)


@every("version", [-1, 1.5, True, "2", None])
def test_a_version_is_a_whole_number(version: Any) -> None:
    with pytest.raises(ValidationError, match=r"version is .*, not a whole number from 0: version=2"):
        register_type(Flag, version=version)


def test_a_type_is_declared_with_one_version() -> None:
    class Local(Flag):
        ONE = 1

    register_type(Local, version=3)

    with pytest.raises(ValidationError, match="another name or version"):
        register_type(Local, version=4)


PROGRAM: Final = """
import asyncio, sys
from otcache import GenericRedisCache, register_type
{heads}
{source}
User.__module__ = "shop"
register_type(User, version={version})
async def main():
    cache = GenericRedisCache(redis_url=sys.argv[1], key_prefix=sys.argv[2], timeout=20)
    answer = await cache.answer("user", lambda: User(name="{name}"))
    print(answer.status, repr(answer.value))
    await cache.close()
asyncio.run(main())
"""


def _in_a_process(server: RedisServer, prefix: str, source: str, name: str, version: int = 1) -> str:
    heads = HEADS.replace("from __future__ import annotations", "")
    text = PROGRAM.format(heads=heads, source=source, name=name, version=version)
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), server.url, prefix], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_a_process_with_a_changed_model_loads_anew(redis_server: RedisServer, prefix: str) -> None:
    before, after = (KINDS["model"].format(fields) for fields in (BEFORE, CHANGES[0]))
    assert _in_a_process(redis_server, prefix, before, "ann").startswith("loaded")

    assert _in_a_process(redis_server, prefix, before, "bob") == "fresh User(name='ann', age=7)"
    assert _in_a_process(redis_server, prefix, after, "bob") == "loaded User(name='bob', age=7, admin=True)"
    assert _in_a_process(redis_server, prefix, after, "eve", version=2).startswith("loaded")


def test_a_shape_is_the_same_in_every_process() -> None:
    script = """
    import dataclasses
    from typing import *
    from pydantic import BaseModel
    from otcache._serialization.declared import describe
    T = TypeVar("T")
    class User(BaseModel, Generic[T]):
        items: list[T]
        call: Callable[[int], T] | None = None
        next: "User[T] | None" = None
        note: Annotated[int, lambda: 1, object()] = 0
        one_of: Literal["a", 1] = 1
    print(describe(User[int], "user").shape)
    """
    shapes = {
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True).stdout
        for _ in range(2)
    }

    assert len(shapes) == 1
    assert shapes != {""}


def test_the_price_of_the_shape_is_one_comparison() -> None:
    """Not a time: what is written is bounded, and the shape is made once, where the type is declared."""
    old = row(KINDS["model"].format(BEFORE))

    assert len(old.shape) == 8
    assert describe(old.cls, "user").shape == old.shape
    assert Serializer(threshold=1000, level=6).encode(1, key="k", expires_at_ms=0).codec == "plain"

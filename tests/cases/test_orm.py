"""Entities of an ORM belong to their session: they are refused, or each caller gets an own one that is whole.

Without `from __future__ import annotations`: SQLModel reads the annotations of relationships as they stand.
"""

from collections.abc import Iterator
from typing import Optional

import pytest
from sqlalchemy import Engine
from sqlalchemy.pool import StaticPool
from sqlmodel import Field, Relationship, Session, SQLModel, create_engine

from otcache import InMemoryCache, cached
from otcache.exceptions import ConfigurationError, ValidationError
from tests.cases.conftest import Make
from tests.cases.expected import unless_refused


class Team(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


class Hero(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    team_id: int | None = Field(default=None, foreign_key="team.id")
    team: Optional[Team] = Relationship()  # noqa: UP045  SQLModel looks the class up by this spelling


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A database with a hero in a team."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Hero(id=1, name="Ada", team=Team(id=1, name="Engines")))
        session.commit()
    yield engine
    engine.dispose()


# long2ice/fastapi-cache #420
async def test_an_entity_comes_back_whole_or_is_refused(make: Make, engine: Engine) -> None:
    here, there = make(), make()
    with Session(engine) as session:
        hero = session.get_one(Hero, 1)
        assert hero.team is not None
        try:
            await here.set("hero:1", hero, type=Hero)
        except (ConfigurationError, ValidationError):
            return

    back = await there.get("hero:1", type=Hero)

    assert back.team is not None
    assert back.team.name == "Engines"


@pytest.mark.parametrize("l1", [True, False], ids=["memory", "redis"])
async def test_a_request_can_use_an_entity_that_an_earlier_one_has_loaded(make: Make, engine: Engine, l1: bool) -> None:
    cache = InMemoryCache(name="orm") if l1 else make(enable_l1_cache=False)

    @unless_refused(cached("team:{number}", cache=cache, ignore=("session",)))
    async def team(session: Session, number: int) -> Team | None:
        return session.get(Team, number)

    with Session(engine) as session:
        await team(session, 1)
        session.commit()
    with Session(engine) as session:
        found = await team(session, 1)
        tried = _renamed(session, found)

    assert tried == "Pistons"


def _renamed(session: Session, team: Team | None) -> str:
    """The name after a change, or the name of the error that the change ends in."""
    assert team is not None
    try:
        assert team.name == "Engines"
        session.add(team)
        team.name = "Pistons"
        session.commit()
        return team.name
    except Exception as exc:  # noqa: BLE001  which one it is, is what the test asks
        session.rollback()
        return type(exc).__name__

"""Redis keeps the promises of a store that can do everything, on every client kind and both servers."""

from __future__ import annotations

import pytest

from otcache.testing import Promise, store_contract
from tests.conftest import Place


@pytest.mark.parametrize("promise", store_contract())
async def test_it_keeps_what_a_store_promises(promise: Promise, place: Place) -> None:
    await promise(lambda prefix: place.store(prefix).backend)

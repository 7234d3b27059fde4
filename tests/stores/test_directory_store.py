"""The smallest whole store keeps the promises of the exported suite, with only what it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from otcache.stores import Backend
from otcache.testing import Promise, store_contract
from tests.stores.directory_store import DirectoryStore


@pytest.mark.parametrize("promise", store_contract(without=("invalidations", "locks", "channel")))
async def test_it_keeps_what_a_store_promises(promise: Promise, tmp_path: Path) -> None:
    await promise(lambda prefix: Backend(DirectoryStore(tmp_path, prefix)))

"""FastAPI is optional: without it, the one module that needs it says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCK = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import otcache
from otcache import CacheFactory, InMemoryCache
try:
    from otcache import install_cache
except ImportError as exc:
    print(exc)
try:
    import otcache.http
except ImportError as exc:
    print(exc)
"""


@pytest.mark.parametrize("missing", ["fastapi", "pydantic_settings"])
def test_without_the_extra_the_dependencies_name_it_and_the_rest_works(missing: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", BLOCK.format(missing=missing)], capture_output=True, text=True, timeout=30, check=True
    )

    assert shown.stdout.count('pip install "otcache[fastapi]"') == 2

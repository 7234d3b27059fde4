"""The command `otcache`."""

from __future__ import annotations

from otcache.cli._main import main

__all__ = ["main"]

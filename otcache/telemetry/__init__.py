"""What a cache reports, and the optional helpers that set the SDK up for an application that has none.

`setup`, `views` and `configure_logging` are loaded on first use: `import otcache` needs no SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otcache.telemetry._setup.logs import add_trace_context, configure_logging
    from otcache.telemetry._setup.sdk import TelemetryHandle, setup, views
    from otcache.telemetry.providers import Providers

__all__ = ["Providers", "TelemetryHandle", "add_trace_context", "configure_logging", "setup", "views"]

_HOMES = {
    "Providers": "providers", "TelemetryHandle": "_setup.sdk", "setup": "_setup.sdk", "views": "_setup.sdk",
    "add_trace_context": "_setup.logs", "configure_logging": "_setup.logs",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'otcache.telemetry' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"otcache.telemetry.{home}"), name)
    return value

"""redis-py's own metrics, switched on and off: the one file that knows how."""

from __future__ import annotations

import logging
from importlib import metadata
from typing import Any, Final

from otcache.exceptions import ConfigurationError
from otcache.telemetry import catalog

METER: Final = "redis-py"
"""Its scope."""

KEPT: Final = frozenset({
    "db.system", catalog.DB_OPERATION.name, catalog.SERVER_ADDRESS.name, catalog.ERROR_TYPE.name,
    catalog.CONNECTION_STATE.name, "redis.client.errors.category",
})  # fmt: skip
"""Its attributes of few values; the rest are ports, databases, random ids of pools, versions (telemetry.md 3.4)."""

_log: Final = logging.getLogger("otcache.telemetry")


def require() -> None:
    """See that the installed redis-py has metrics for asyncio. Raises ConfigurationError: it is older than 7.3."""
    try:
        import redis.asyncio.observability.recorder  # noqa: F401
    except ImportError as exc:
        found = metadata.version("redis")
        raise ConfigurationError(
            f'redis_metrics=True needs redis-py 7.3 or newer, found {found}: pip install "redis>=7.3"'
        ) from exc


class RedisMetrics:
    """redis-py's metrics of this process, reported to one meter provider. What the application turned on stays.

    Raises:
        ConfigurationError: redis-py is older than 7.3, or can't report to a provider that is not the global one.
    """

    def __init__(self, meters: Any) -> None:
        require()
        from redis.observability.config import MetricGroup, OTelConfig  # 7.3 does not show them one level up
        from redis.observability.providers import get_observability_instance

        self._switch: Any = get_observability_instance()
        self._manager: Any = None
        if self._switch.get_provider_manager() is not None:
            _log.warning("the application has turned redis-py's metrics on: they stay as they are")
            return
        groups = [
            MetricGroup.COMMAND, MetricGroup.CONNECTION_BASIC, MetricGroup.CONNECTION_ADVANCED, MetricGroup.RESILIENCY,
        ]  # fmt: skip
        _forget_instruments()
        self._switch.init(OTelConfig(metric_groups=groups))
        self._manager = self._switch.get_provider_manager()
        self._manager._meter_provider = meters  # noqa: SLF001  it takes the global one otherwise
        if self._manager.get_meter_provider() is not meters:
            self.off()
            raise ConfigurationError("this redis-py reports its metrics to the global provider only: set_global=True")

    def off(self) -> None:
        """Measure no more, if they are still the ones turned on here. Idempotent."""
        if self._manager is None or self._switch.get_provider_manager() is not self._manager:
            return
        self._manager._meter_provider = None  # noqa: SLF001  or it would flush it, for up to 30 s
        self._switch.shutdown()
        self._manager = None
        _forget_instruments()


def _forget_instruments() -> None:
    """Both kinds of client keep what they record to, and ask no more whether it is on."""
    from redis.asyncio.observability import recorder as of_async
    from redis.observability import recorder

    recorder.reset_collector()
    of_async.reset_collector()

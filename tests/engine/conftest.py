"""What is emitted during a test of the engine."""

from otcache.testing import telemetry

__all__ = ["telemetry"]

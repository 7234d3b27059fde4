"""The telemetry contract as data: every attribute, span, instrument and event that otcache emits.

Code, documentation tables, dashboards and tests read it; no other package spells an `otcache.` name.
"""

from __future__ import annotations

# a catalogue reads as one: what its parts define is what it has
from otcache.telemetry.catalog.attributes import *  # noqa: F403
from otcache.telemetry.catalog.buckets import *  # noqa: F403
from otcache.telemetry.catalog.events import *  # noqa: F403
from otcache.telemetry.catalog.instruments import *  # noqa: F403
from otcache.telemetry.catalog.kinds import *  # noqa: F403
from otcache.telemetry.catalog.spans import *  # noqa: F403

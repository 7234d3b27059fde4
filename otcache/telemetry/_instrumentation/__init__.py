"""The seam: from what happened in a cache to its spans, metrics, events and callbacks."""

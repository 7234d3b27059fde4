"""`otcache demo`: a FastAPI application, its Redis, its traffic, an outage, and what the telemetry says about it."""

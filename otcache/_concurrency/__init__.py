"""Deadlines, background tasks and the circuit breaker: asyncio alone, no word of caches."""

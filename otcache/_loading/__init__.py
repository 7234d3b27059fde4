"""Loading through the cache: what a caller gets, who loads, and who waits."""

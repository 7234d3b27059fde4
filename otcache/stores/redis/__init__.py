"""Redis, Sentinel and Cluster as a store, by redis-py."""

"""Where entries are kept: the bounded memory near the caller, and Redis."""

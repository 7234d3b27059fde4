"""Functions whose results are cached: `cached`, the keys it makes of arguments, and the wrapper it generates."""

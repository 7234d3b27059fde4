"""What is wrong with bytes that can't be read back."""

from __future__ import annotations


class DecodeError(Exception):
    """A payload can't be decoded: damaged, foreign, or of a type that is not known here. Never leaves the package.

    Its message never contains the payload, the key or the value.
    """

"""The version of everything that processes of two releases may find of each other in one store."""

from __future__ import annotations

from typing import Final

WIRE_VERSION: Final = 2
"""Of entries (a byte of the header), of messages, and of the names of what is kept beside entries: 0 to 255.

Raise it with each change that an older release would misread. What carries another version is a miss or is ignored,
never an error. Entries keep their names, so that a removal by one release is one for all; their header tells.
"""

"""Print pip constraints for the oldest packages that pyproject.toml claims to support: its lower bounds."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
OURS = ("dev", "bench")
BOUND = re.compile(r"([\w-]+)(?:\[[\w,]*\])?>=([\w.]+)")


def constraints() -> list[str]:
    """One `name==version` per package that users get; development tools stay as new as they are."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    shipped = project["dependencies"] + [line for name, lines in extras.items() if name not in OURS for line in lines]
    followers = [line for line in extras["dev"] if line.startswith("opentelemetry")]  # they fit one version of the SDK
    found = (BOUND.match(line) for line in shipped + followers)
    return sorted({f"{bound[1]}=={bound[2]}" for bound in found if bound})


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints()) + "\n")

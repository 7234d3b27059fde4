"""`python -m dashboards`: write the dashboards; with `--check`, say whether they are what the generator makes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dashboards.render import FOLDER, drift, write


def main() -> int:
    """0 done or the same, 1 different."""
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file differs")
    checking = parser.parse_args().check
    found = drift() if checking else write()
    root = FOLDER.parent.parent
    for path in found:
        sys.stdout.write(f"{'differs' if checking else 'written'}: {_shown(path, root)}\n")
    return 1 if checking and found else 0


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root))


if __name__ == "__main__":
    sys.exit(main())

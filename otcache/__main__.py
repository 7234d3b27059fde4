"""`python -m otcache` is the `otcache` command."""

from otcache.cli import main

raise SystemExit(main())

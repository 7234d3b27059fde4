"""The alert rules, a file per subject."""

"""Paired A/B benchmark: two revisions measured in turns on one machine."""

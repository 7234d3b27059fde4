"""A regression detector that reads exported metrics: it alarms when the evidence is there, and says when it is not."""

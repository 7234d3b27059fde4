"""The OpenTelemetry SDK, the /metrics page and logs, set up for an application that has none."""

"""What was exported, read back: Prometheus pages, OTLP JSON, and whether they keep the telemetry contract."""

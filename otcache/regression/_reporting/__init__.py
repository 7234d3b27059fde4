"""What the detector found, for readers and machines: reports, files, metrics, acknowledgements."""

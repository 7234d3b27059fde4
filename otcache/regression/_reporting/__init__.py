"""What the detector found, told: reports, files, metrics, acknowledgements."""

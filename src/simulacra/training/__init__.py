"""Training runs: train, resume, observer, monitors, watch."""

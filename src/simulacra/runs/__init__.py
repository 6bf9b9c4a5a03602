"""The run folder: the only door from training to everything after it."""

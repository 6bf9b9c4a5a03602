"""Run folders: paths, settings, provenance, lock, and opening a run."""

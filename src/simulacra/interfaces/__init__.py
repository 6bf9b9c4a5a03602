"""The command line and the Python API; only this package prints."""

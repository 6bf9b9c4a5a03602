"""Metrics of translations between domains."""

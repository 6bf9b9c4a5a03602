"""Metrics of restorations: calibration of intervals, similarity, diversity, coverage."""

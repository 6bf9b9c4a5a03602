"""Anomaly detection: scores, calibration on normal images, kinds of anomalies, evaluation."""

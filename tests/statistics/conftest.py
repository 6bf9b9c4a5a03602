"""What the statistical tests agree on.

Each fixes seed and n, and states its false-positive rate over seeds (1e-6 or less) and the smallest effect that it detects
(with a probability of 99.9 %, which takes three standard errors beyond the threshold).
"""

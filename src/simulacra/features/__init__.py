"""Feature extractors: networks, training and cache."""

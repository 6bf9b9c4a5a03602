"""Loss functions and log-likelihoods as pure functions."""

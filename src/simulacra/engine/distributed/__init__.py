"""Several processes that torchrun started: their communication, and work that they share."""

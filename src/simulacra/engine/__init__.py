"""The training loop and what it needs: placement, optimizers, EMA, checkpoints, reports, trackers."""

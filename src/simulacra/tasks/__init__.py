"""What one does with models: train, sample, evaluate and the rest."""

"""What every other folder stands on: batches, families, capabilities, settings, randomness, errors."""

"""Base types used by every other package: batches, conditions, families, capabilities, settings, random streams, errors."""

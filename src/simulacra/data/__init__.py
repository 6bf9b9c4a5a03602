"""Data sets: sources, file formats, splits and batches."""

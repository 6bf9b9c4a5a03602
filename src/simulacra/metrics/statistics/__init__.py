"""Statistics shared by several metrics."""

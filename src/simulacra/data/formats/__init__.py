"""File formats: archives, pixels, IDX files, arrays."""

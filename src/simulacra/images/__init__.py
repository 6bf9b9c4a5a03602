"""Images as files: grids, scatter plots, animations."""

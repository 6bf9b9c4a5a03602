"""Images in tar archives of the WebDataset layout: packing, indexing, and streaming in a reproducible order."""

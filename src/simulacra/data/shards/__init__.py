"""Images in tar archives of the WebDataset layout: packed, indexed, and streamed in a reproducible order."""

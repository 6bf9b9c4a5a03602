"""Images and masks of a user for use with a model, and the files that are skipped."""

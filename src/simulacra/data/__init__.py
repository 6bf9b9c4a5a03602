"""Where images come from: one file per source, prepared once, served as numbered batches."""

"""What the names of files and folders mean: images, classes, splits, and two domains in one folder."""

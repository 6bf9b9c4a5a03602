"""Agreement of generated images with the requested classes, attributes or captions."""

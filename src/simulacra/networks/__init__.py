"""Network building blocks for images of any size and channel count."""

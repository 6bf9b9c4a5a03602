"""Networks for any image size and channel count."""

"""Images from images: reconstruction, restoration and translation with a trained model."""

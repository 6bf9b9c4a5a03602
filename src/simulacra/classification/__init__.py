"""Classification of images by features of generative models: representations, methods, calibration, evaluation, storage."""

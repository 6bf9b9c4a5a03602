"""Output in the terminal and in notebooks: results, progress, losses during a training, questions."""

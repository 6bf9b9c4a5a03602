"""HTML pages: run report, comparison page, their curves and images."""

"""Maps of latent spaces: projections to the plane, measurements of their errors, colours, plots, interactive pages."""

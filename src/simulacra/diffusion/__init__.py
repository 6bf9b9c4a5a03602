"""The mathematics of diffusion and flow matching: pure functions of noise levels and of a denoiser, without a network."""

"""The mathematics of diffusion models and flow matching, as pure functions of noise levels and of a denoiser."""

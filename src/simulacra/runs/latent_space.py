"""Encoding images to the latent space of a model and decoding latents, in batches."""

from torch import Tensor

from simulacra.core.batch import Batch
from simulacra.core.capabilities import LatentSpace, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import UsageError
from simulacra.core.family import model_condition
from simulacra.runs.opened import OpenedRun, check_images


def latent_condition(opened: OpenedRun, batch: Batch) -> Condition:
    """Return the condition of a batch with which its images are encoded: empty unless the latent space is conditional."""
    return model_condition(opened.model, batch) if opened.model.conditional_likelihood else UNCONDITIONAL


def encode(opened: OpenedRun, images: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Return the latents [n d] of images [n c h w] in [0, 1]; raises NotApplicable, UsageError for another shape."""
    model = require(opened.model, LatentSpace, "encoding")
    return opened.apply(model.encode, check_images(images, opened.spec), condition=condition)


def decode(opened: OpenedRun, latents: Tensor, condition: Condition = UNCONDITIONAL) -> Tensor:
    """Return the images [n c h w] in [0, 1] of latents [n d]; raises NotApplicable, UsageError for another shape."""
    model = require(opened.model, LatentSpace, "decoding")
    if latents.ndim != 2 or latents.shape[1] != model.latent_dim:
        raise UsageError(f"latents have shape {tuple(latents.shape)}, expected [n {model.latent_dim}]")
    return opened.apply(model.decode, latents, condition=condition)

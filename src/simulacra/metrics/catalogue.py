"""Every number by its name in JSON: what it is called, which way is better, what it tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Better = Literal["smaller", "larger", "neither"]


@dataclass(frozen=True)
class Entry:
    """What is said of a metric wherever it is shown. real: what real images have by definition, where that is not measured."""

    title: str
    better: Better
    meaning: str
    real: str = ""


_NEARNESS = "How near translations are to the known answers; mean of decibels over images."
_SURVIVAL = "Share of translations in which a classifier of that domain sees the class of the original."
_AS_IT_IS = "The same of images that nobody translated: what a translation has to exceed."
_CYCLE = "Of pixels in [0, 1]. A model that does nothing reaches 0: it counts only beside the numbers of the way there."

CATALOGUE: Mapping[str, Entry] = {
    "frechet_distance": Entry("Fréchet distance", "smaller", "How far generated images are from real ones, in features."),
    "frechet_floor": Entry(
        "Fréchet floor", "neither", "What as many real training images measure: a perfect model reaches this."
    ),
    "frechet_ratio": Entry(
        "Fréchet distance over floor", "smaller", "1 is as near to the test images as training images are.", "1"
    ),
    "kernel_distance": Entry("kernel distance", "smaller", "Like the Fréchet distance, unbiased at any number of images.", "0"),
    "precision": Entry("precision", "larger", "Share of generated images that lie among real ones: fidelity."),
    "recall": Entry("recall", "larger", "Share of real images that lie among generated ones: diversity."),
    "density": Entry("density", "larger", "How many real neighbourhoods a generated image is in, over k. Real images have 1."),
    "coverage": Entry("coverage", "larger", "Share of real images with a generated one in their neighbourhood."),
    "cas_accuracy": Entry(
        "classification accuracy score", "larger", "Of a classifier that has learned from generated images only."
    ),
    "label_agreement": Entry("label agreement", "larger", "Share of generated images in which the class asked for is seen."),
    "modes_covered": Entry(
        "classes reached", "larger", "Classes with a tenth of their real share, or more, among generated images."
    ),
    "high_quality_share": Entry(
        "high-quality share", "larger", "Share of generated points within 3 standard deviations of a mode of the known law."
    ),
    "cross_entropy_nats": Entry(
        "cross-entropy, nats per point",
        "neither",
        "-log p of generated points under the known law. Above the entropy: improbable places; below: too narrow.",
    ),
    "entropy_nats": Entry(
        "entropy of the data, nats per point", "neither", "Of the known law: the least negative log-likelihood of any model."
    ),
    "class_kl": Entry("class KL, nats", "smaller", "How uneven the classes are among generated images, against real ones."),
    "diversity": Entry("diversity", "larger", "Mean distance of generated images from each other, over that of real ones.", "1"),
    "nearest_train_ratio": Entry(
        "nearest training image, ratio",
        "neither",
        "Distance to the nearest training image over that of unseen real ones: 1 is usual, far below 1 copies.",
        "1",
    ),
    "negative_elbo_nats": Entry(
        "negative ELBO, nats per image", "smaller", "An upper bound of -log p(image): rate + distortion."
    ),
    "rate_nats": Entry("rate, nats per image", "neither", "What the latents say about an image: the KL divergence to the prior."),
    "distortion_nats": Entry(
        "distortion, nats per image", "neither", "What the latents leave open: the error of the reconstruction."
    ),
    "nll_nats": Entry(
        "negative log-likelihood, nats per image", "smaller", "With many importance samples the tighter bound of -log p(image)."
    ),
    "flow_bits_per_dim": Entry(
        "bits per dimension of the flow", "smaller", "Of 256 grey levels, uniformly dequantized, by the density of the flow."
    ),
    "bits_per_dim": Entry(
        "bits per dimension", "smaller", "The bound for each pixel value, comparable across image sizes; raw bytes cost 8."
    ),
    "mse": Entry("mean squared error", "smaller", "Of reconstructed pixels in [0, 1]."),
    "psnr_db": Entry("peak signal-to-noise ratio, dB", "larger", "Of reconstructions, mean of decibels over images."),
    "ssim": Entry("structural similarity", "larger", "Of reconstructions; 1 is equal."),
    "translation_psnr_db_to_a": Entry("translation to a, PSNR in dB", "larger", _NEARNESS),
    "untranslated_psnr_db_to_a": Entry("no translation to a, PSNR in dB", "neither", _AS_IT_IS),
    "translation_psnr_db_to_b": Entry("translation to b, PSNR in dB", "larger", _NEARNESS),
    "untranslated_psnr_db_to_b": Entry("no translation to b, PSNR in dB", "neither", _AS_IT_IS),
    "translation_accuracy_to_a": Entry("translation to a, accuracy", "larger", _SURVIVAL),
    "untranslated_accuracy_to_a": Entry("no translation to a, accuracy", "neither", _AS_IT_IS),
    "translation_accuracy_to_b": Entry("translation to b, accuracy", "larger", _SURVIVAL),
    "untranslated_accuracy_to_b": Entry("no translation to b, accuracy", "neither", _AS_IT_IS),
    "cycle_mse_a": Entry("from a to b and back, mean squared error", "smaller", _CYCLE),
    "cycle_mse_b": Entry("from b to a and back, mean squared error", "smaller", _CYCLE),
    "active_units": Entry(
        "active latent units", "neither", "Latents whose code varies with the image; few of many is posterior collapse."
    ),
    "knn_accuracy": Entry("5-nearest-neighbour accuracy", "larger", "Of classes told by the nearest training latents."),
    "probe_accuracy": Entry("linear probe accuracy", "larger", "Of classes told by a logistic regression on latents."),
}

OUTCOMES = frozenset(
    {
        "bias", "extrapolated", "same_law", "few_samples", "copies", "nearer", "with_any", "lowest_class", "converged",
        "real_against_real", "generated_distance", "real_distance", "of",
    }
)  # fmt: skip
"""What a protocol tells beside the settings: results, which differ from run to run and forbid no comparison."""


def entry(name: str) -> Entry:
    """Return what is said of a metric; of one that is not in the catalogue, only its name."""
    return CATALOGUE.get(name, Entry(name.replace("_", " "), "neither", ""))


def settings_of(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return those facts of a protocol that must be equal where numbers are compared."""
    return {name: value for name, value in protocol.items() if name not in OUTCOMES}

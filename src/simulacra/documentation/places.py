"""The sections that explain topics, where the name of a topic does not find its section, or several sections name it."""

from collections.abc import Mapping

Places = tuple[str, ...]

WARNINGS: Mapping[str, Places] = {
    "mode collapse": ("guides/monitoring#mode-collapse", "explanation/evaluation#mode-collapse"),
    "repeated images": ("guides/monitoring#repeated-images",),
    "missing modes": ("guides/monitoring#missing-modes", "explanation/evaluation#missing-modes"),
    "overwhelming discriminator": ("guides/monitoring#overwhelming-discriminator",),
    "posterior collapse": ("guides/monitoring#posterior-collapse", "explanation/evaluation#posterior-collapse"),
    "divergence": ("guides/monitoring#divergence",),
    "overfitting": ("guides/monitoring#overfitting",),
    "memorization": ("explanation/evaluation#memorization",),
    "idle translation": ("explanation/evaluation#idle-translation",),
}
"""Warnings of a training and of an evaluation, by their names in messages."""

STATISTICS: Mapping[str, str] = dict.fromkeys(
    ("diversity", "distinctness", "modes_covered", "real_accuracy", "fake_accuracy", "saturation", "active_units"),
    "guides/monitoring#statistics-of-a-training",
)
"""Statistics of a training in reports.jsonl; some have the name of a metric."""

SYNONYMS: Mapping[str, str] = {
    **dict.fromkeys(("fd", "frechet", "fréchet-distance", "frechet-inception-distance"), "frechet-distance"),
    **dict.fromkeys(("kd", "mmd", "kernel-inception-distance"), "kernel-distance"),
    **dict.fromkeys(("is", "inception-score", "inception-score-is"), "inception-score"),
    **dict.fromkeys(("psnr",), "psnr-db"),
    **dict.fromkeys(("nll", "negative-log-likelihood"), "nll-nats"),
    **dict.fromkeys(("rate",), "rate-nats"),
    **dict.fromkeys(("distortion",), "distortion-nats"),
    **dict.fromkeys(("bpd", "bits-per-dimension"), "bits-per-dim"),
    **dict.fromkeys(("cas", "classification-accuracy-score"), "cas-accuracy"),
    **dict.fromkeys(("memorisation", "copies"), "memorization"),
    **dict.fromkeys(("kl-collapse", "kl-vanishing"), "posterior-collapse"),
    **dict.fromkeys(("collapse",), "mode-collapse"),
    **dict.fromkeys(("evidence-lower-bound", "variational-lower-bound"), "elbo"),
    **dict.fromkeys(("kl", "kullback-leibler"), "kl-divergence"),
    **dict.fromkeys(("iwae", "importance-weighted-autoencoder"), "importance-weighted-bound-iwae"),
    **dict.fromkeys(("cfg", "classifier-free-guidance"), "guidance-scale"),
    **dict.fromkeys(("ddpm", "ddim", "score-based-model"), "diffusion"),
    **dict.fromkeys(("flow-matching", "rectified-flow"), "flow"),
    **dict.fromkeys(("wgan", "wasserstein-gan"), "wgan-gp"),
    **dict.fromkeys(("conditional-vae",), "cvae"),
    **dict.fromkeys(("variational-autoencoder", "beta-vae"), "vae"),
    **dict.fromkeys(("ae",), "autoencoder"),
    **dict.fromkeys(("wasserstein", "earth-mover-distance"), "wasserstein-distance"),
    **dict.fromkeys(("minibatch-discrimination", "pacgan"), "pack"),
    **dict.fromkeys(("exponential-moving-average",), "ema"),
}
"""Other names of topics, all as `topics.normal` writes them."""

CONCEPTS: Mapping[str, Places] = {
    "ELBO": ("families/vae#evidence-lower-bound-elbo",),
    "KL divergence": ("families/vae#kl-divergence",),
    "reparameterization": ("families/vae#reparameterization",),
    "latent space": ("explanation/architecture#latent-space",),
    "Wasserstein distance": ("families/wgan_gp#loss",),
    "gradient penalty": ("families/wgan_gp#loss",),
    "cycle consistency": ("families/cyclegan#loss",),
    "noise schedule": ("families/diffusion#model",),
    "capabilities": ("explanation/architecture#capabilities",),
    "FID": ("reference/metrics#names-in-other-tools", "reference/metrics#frechet_distance-frechet_floor"),
    "KID": ("reference/metrics#names-in-other-tools", "reference/metrics#kernel_distance"),
    "Inception score": ("reference/metrics#names-in-other-tools",),
    "LPIPS": ("reference/metrics#names-in-other-tools", "reference/metrics#restorations"),
    "early stopping": ("guides/monitoring#early-stopping",),
    "t-SNE": ("guides/latent-maps#t-sne",),
    "PCA": ("guides/latent-maps#principal-components",),
    "temperature": ("guides/classification#calibration",),
    "p-value": ("guides/anomaly-detection#calibration",),
    "bfloat16": ("guides/hardware#bfloat16",),
    "standard error": ("explanation/evaluation#standard-errors",),
    "floor": ("reference/metrics#common-properties",),
    "protocol": ("explanation/evaluation#the-protocol",),
    "recipe": ("tutorials/first-steps#5-settings-flags-presets-recipes",),
    "run folder": ("tutorials/first-steps#3-the-run-folder",),
}
"""Concepts that are no headings, have headings of their own on several pages, or are named differently."""

_OF_FAMILIES = "overview usage model loss settings results training-notes limitations exercise exercises quiz references"
_OF_GUIDES = "evaluation list in-python output commands errors start progress limits tests defaults how-it-works labels packages"
_OF_REFERENCES = "features methods scores sources splits data training devices speed python-api implementation what-goes-wrong"
_PARTS = "reproducing-the-measurements what-was-not-measured differences-from-the-paper differences-from-the-papers"
GENERIC = frozenset(f"{_OF_FAMILIES} {_OF_GUIDES} {_OF_REFERENCES} {_PARTS} differences-from-the-keras-example".split())
"""Anchors of headings that name a part of every page, and no concept."""

PARENTS: Mapping[str, Places] = {
    "conv_gan": ("gan", "dcgan"),
    "dcgan": ("gan", "conv_gan"),
    "cvae": ("vae", "autoencoder"),
    "vae": ("autoencoder",),
    "flow": ("diffusion",),
    "vae_gan": ("vae", "gan"),
    "wgan_gp": ("gan",),
    "restorer": ("cvae", "vae"),
    "autoencoder": (),
}
"""Families whose pages explain settings that a family has from them."""

NUMBERS: Mapping[str, str] = {
    "frechet_ratio": "reference/metrics#frechet_distance-frechet_floor",
    "cas_accuracy": "reference/extractors#classification-accuracy-score",
    **dict.fromkeys(("high_quality_share", "cross_entropy_nats", "entropy_nats"), "reference/metrics#data-with-a-known-density"),
    **dict.fromkeys(
        ("label_agreement_seen", "label_agreement_unseen", "label_agreement_shuffled"), "reference/metrics#label_agreement"
    ),
}
"""Sections of numbers whose names are in no heading."""

NUMBER_PREFIXES: Mapping[str, str] = {
    **dict.fromkeys(("translation_", "untranslated_", "cycle_mse_"), "reference/metrics#translation"),
    **dict.fromkeys(("restoration_", "interval_"), "reference/metrics#restorations"),
}
"""The same by the beginnings of names."""

_STEPS = "tutorials/first-steps"
_OPTIMIZER = ("--lr", "--batch", "--optimizer", "--beta1", "--beta2", "--weight-decay", "--clip", "--ema", "--accumulate")

SETTINGS: Mapping[str, Places] = {
    **dict.fromkeys(_OPTIMIZER, (f"{_STEPS}#optimizer",)),
    **dict.fromkeys(("--for", "--warmup", "--schedule"), (f"{_STEPS}#6-training-duration",)),
    **dict.fromkeys(("--preset", "--recipe", "--seed"), (f"{_STEPS}#5-settings-flags-presets-recipes",)),
    **dict.fromkeys(("--out", "--keep", "--log-every", "--checkpoint-every"), (f"{_STEPS}#3-the-run-folder",)),
    **dict.fromkeys(("--beta", "--reduction"), ("families/vae#beta-and-reduction",)),
    "--accumulate": (f"{_STEPS}#optimizer", "guides/distributed#equivalence-with-a-single-process"),
    "--anomalies": ("guides/anomaly-detection#evaluation",),
    "--between": ("guides/latent-maps#interpolations-and-traversals",),
    "--captions": ("guides/captions#training-and-sampling",),
    "--conditional": ("families/gan#conditional-models", "families/diffusion#conditional-models-and-guidance"),
    "--count": (f"{_STEPS}#7-conditional-models",),
    "--data": ("guides/data#sources",),
    "--device": ("guides/hardware#gpus",),
    "--difficulty": (f"{_STEPS}#quiz",),
    "--draws": ("guides/restoration#mean-draws-and-deviation",),
    "--flip": ("guides/data#settings",),
    "--from-class": ("guides/latent-maps#arithmetic-between-classes",),
    "--guidance-scale": ("families/diffusion#conditional-models-and-guidance",),
    "--hold-out": ("guides/labels#combinations-left-out-of-training",),
    "--input": ("guides/restoration#first-restorations",),
    "--label": (f"{_STEPS}#7-conditional-models",),
    "--label-column": ("guides/labels#one-column-classes",),
    "--labels": ("guides/labels#few-labels",),
    "--latent-dim": ("families/autoencoder#settings", "families/vae#settings"),
    "--likelihood": ("families/vae#likelihoods",),
    "--limit": ("guides/data#settings",),
    "--loss": ("families/autoencoder#loss", "families/gan#loss"),
    "--metrics": ("reference/metrics",),
    "--objective": ("families/vae#importance-weighted-bound-iwae",),
    "--only-classes": ("guides/data#only-some-classes",),
    "--pack": ("families/gan#settings",),
    "--particles": ("explanation/evaluation#nll_nats", "families/vae#importance-weighted-bound-iwae"),
    "--path": ("guides/data#settings", "guides/latent-maps#interpolations-and-traversals"),
    "--precision": ("explanation/precision#defaults", "guides/hardware#bfloat16"),
    "--prior": ("families/cvae#learned-prior",),
    "--r1": ("families/gan#settings",),
    "--samples": ("explanation/evaluation#the-metric-table",),
    "--score": ("guides/anomaly-detection#scores",),
    "--size": ("guides/data#image-formats-sizes-and-channels",),
    "--smoothing": ("families/gan#settings",),
    "--snapshots": ("guides/monitoring#training-warnings", "guides/monitoring#durations-in-time"),
    "--spectral-norm": ("families/gan#settings",),
    "--split": ("explanation/evaluation#model-selection",),
    "--steps": ("families/diffusion#samplers", "guides/latent-maps#interpolations-and-traversals"),
    "--threads": ("guides/hardware#threads",),
    "--to": ("families/cyclegan#translation",),
    "--track": ("guides/monitoring#trackers",),
    "--validation": ("guides/data#splits",),
}
"""Sections of settings that several pages name; all others are found by `settings.setting_sections`."""

COMMANDS: Mapping[str, str] = {
    "classify": "guides/classification#commands",
    "compare": "explanation/evaluation#comparing-runs",
    "data": "guides/data#checking-a-data-set",
    "detect": "guides/anomaly-detection#usage",
    "evaluate": "explanation/evaluation#the-metric-table",
    "extractor": "reference/extractors#training-an-extractor",
    "interpolate": "guides/latent-maps#interpolations-and-traversals",
    "latent-map": "guides/latent-maps#commands",
    "report": "explanation/evaluation#the-report",
    "restore": "guides/restoration#first-restorations",
    "resume": f"{_STEPS}#4-interrupt-and-resume",
    "sample": f"{_STEPS}#7-conditional-models",
    "scores": "explanation/evaluation#scores-of-single-images",
    "train": f"{_STEPS}#5-settings-flags-presets-recipes",
    "translate": "families/cyclegan#translation",
    "traverse": "guides/latent-maps#interpolations-and-traversals",
    "watch": "guides/monitoring#during-training",
}
"""Sections of commands."""

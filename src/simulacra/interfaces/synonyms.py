"""Flags and commands of other tools, and ours for the same: accepted where they mean exactly the same, otherwise named."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

FLAGS: Mapping[str, str] = {
    **dict.fromkeys(("batch-size", "train-batch-size", "bs"), "batch"),
    **dict.fromkeys(("learning-rate", "base-lr"), "lr"),
    **dict.fromkeys(("grad-clip", "max-grad-norm", "gradient-clip-val"), "clip"),
    **dict.fromkeys(("gradient-accumulation-steps", "accumulate-grad-batches"), "accumulate"),
    **dict.fromkeys(("dataset", "data-dir", "train-data-dir"), "data"),
    **dict.fromkeys(("image-size", "resolution", "img-size"), "size"),
    **dict.fromkeys(("latent-size", "z-dim", "nz", "latents"), "latent-dim"),
    **dict.fromkeys(("duration", "time"), "for"),
    **dict.fromkeys(("output", "output-dir", "outdir", "save-dir"), "out"),
    **dict.fromkeys(("num-samples", "n-samples", "num-images"), "count"),
    **dict.fromkeys(("num-inference-steps", "sampling-steps"), "steps"),
    **dict.fromkeys(("guidance", "cfg-scale"), "guidance-scale"),
    **dict.fromkeys(("random-seed", "random-state"), "seed"),
}
"""Our flag for the same setting with the same values, by the flag of another tool; both without the dashes."""

_OF_SAMPLE = ("count", "steps", "guidance-scale")  # flags of `sample`; all others are flags of `train`

DURATIONS: Mapping[str, str] = {
    **dict.fromkeys(("epochs", "num-epochs", "max-epochs", "num-train-epochs", "n-epochs"), "ep"),
    **dict.fromkeys(("steps", "max-steps", "num-steps", "max-train-steps", "iterations", "iters"), "steps"),
}
"""The unit of `--for`, by the flag of another tool whose value is a number of them."""

COMMANDS: Mapping[str, str] = {"generate": "sample", "eval": "evaluate", "fit": "train"}
"""Our command, by that of another tool."""

RELATED: Mapping[str, str] = {
    "test": "evaluate measures a model on test images",
    "predict": "reconstruct, restore and translate apply a model to images",
    "inference": "sample generates images; reconstruct, restore and translate apply a model to images",
    "decode": "in Python, simulacra.open(RUN).decode(latents) returns images",
    **dict.fromkeys(("tsne", "t-sne", "umap", "pca"), "latent-map maps the latents of test images by t-SNE and PCA"),
    "finetune": "resume continues a run, with a longer --for",
    "--scheduler": "--sampler of sample and evaluate chooses the sampler; --schedule of train is that of the learning rate",
    "--num-classes": "classes are read from the data",
    "--gpu": "--device cuda computes on the GPU",
    "--cuda": "--device cuda computes on the GPU",
    "--cpu": "--device cpu computes on the CPU",
    "--fp16": "--precision bfloat16 computes in 16 bits",
    "--bf16": "--precision bfloat16 computes in 16 bits",
    "--mixed-precision": "--precision bfloat16 computes in 16 bits",
    "--num-workers": "images are held in memory: there are no workers",
    "--workers": "images are held in memory: there are no workers",
    "--resume": "the command is simulacra resume RUN",
}
"""What to use instead of commands and flags of other tools that have no exact counterpart here."""


def translated(words: Sequence[str], flags: Collection[str]) -> list[str]:
    """Return the words of a command line with flags of other tools replaced by ours, where a parser with `flags` has them.

    Underscores in the name of a flag count as dashes.

    >>> translated(["--batch_size", "8", "--epochs=5"], ["--batch", "--for"])
    ['--batch', '8', '--for', '5ep']
    """
    result: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        plain = name[2:].replace("_", "-")
        if not name.startswith("--") or name in flags:
            result.append(word)
        elif f"--{plain}" in flags:
            result.append(f"--{plain}{equals}{value}")
        elif f"--{FLAGS.get(plain)}" in flags:
            result.append(f"--{FLAGS[plain]}{equals}{value}")
        elif plain in DURATIONS and "--for" in flags:
            result += ["--for", (value if equals else next(rest, "")) + DURATIONS[plain]]
        else:
            result.append(word)
    return result


def hint(word: str, known: Collection[str]) -> str:
    """Return what to use instead of an unknown flag: of other tools by the tables, else the most similar one.

    >>> hint("--epochs", ["--count"]), hint("--cuont", ["--count"]), hint("--n", ["--json"])
    (": it is --for 20ep of 'simulacra train'.", ': did you mean --count?', '.')
    """
    plain = word.replace("_", "-").removeprefix("--")
    if related := RELATED.get(f"--{plain}"):
        return f": {related}."
    if plain in DURATIONS:
        return f": it is --for 20{DURATIONS[plain]} of 'simulacra train'."
    if ours := FLAGS.get(plain):
        return f": it is --{ours} of 'simulacra {'sample' if ours in _OF_SAMPLE else 'train'}'."
    near = get_close_matches(plain, [flag.removeprefix("--") for flag in known], n=1, cutoff=0.55)
    return f": did you mean --{near[0]}?" if near else "."

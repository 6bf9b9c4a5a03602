"""Check that a change of the code does not change results: weights after 30 steps of every recipe, numbers of `evaluate`.

Write the results of one commit, and compare those of another with them:

    python benchmarks/equivalence.py --out before.json
    python benchmarks/equivalence.py --out after.json --against before.json

Weights are compared bit for bit: SHA-256 of all tensors of the last checkpoint (model, EMA, optimizer state), sorted by their
contents, so that names may change. Numbers of `evaluate` are compared to all digits. One thread; the data are parts of MNIST and
scikit-learn's digits; results depend on the machine, so both commits must run on one.
"""

import argparse
import json
import os
import tempfile
import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

import simulacra
from simulacra.evaluation.settings import settings_for

RECIPES = Path(__file__).parent.parent / "recipes"
STEPS = "30"
COMMON: dict[str, Any] = {"duration": STEPS, "device": "cpu", "threads": 1, "snapshots": 1, "log_every": 10}
EVALUATION: dict[str, Any] = {"samples": 200, "particles": 3, "seed": 0, "flow_images": 8}
LABELLED = ("diffusion", "flow")  # families that are evaluated with classes, and with their own likelihoods


def digest(run: Path) -> str:
    """Return the SHA-256 of all tensors of a run's last checkpoint, whatever their names."""
    (folder,) = sorted((run / "checkpoints").glob("step_*"))[-1:]
    tensors = [tensor for file in sorted(folder.glob("*.safetensors")) for tensor in load_file(file).values()]
    contents = sorted(f"{list(t.shape)}{t.dtype}{sha256(t.contiguous().numpy().tobytes()).hexdigest()}" for t in tensors)
    return sha256("\n".join(contents).encode()).hexdigest()


def train_recipe(recipe: Path, out: Path) -> str:
    """Train a recipe for 30 steps on MNIST, or on its own points, and return the digest of its weights."""
    tables = tomllib.loads(recipe.read_text())
    settings = dict(COMMON)
    if "a" in tables["data"]:
        settings |= {"limit": 400, "validation": 0.01}
    elif tables["data"]["data"] in ("ring", "grid"):
        settings |= {"validation": 0.05}
    else:
        settings |= {"data": "mnist", "limit": 2000, "validation": 0.01, "batch": min(tables["train"].get("batch", 16), 16)}
    simulacra.train(tables["family"], recipe=recipe, out=out, **settings)
    return digest(out)


def evaluate_family(family: str, out: Path) -> dict[str, Any]:
    """Train a family for 30 steps on digits, and return the numbers of `evaluate`."""
    settings = {**COMMON, "batch": 16, "ema": 0.9}
    if family == "cyclegan":
        settings |= {"a": "digits", "b": "digits-inverted", "preset": "small"}
    else:
        settings |= {"data": "digits"}
    if family in LABELLED:
        settings |= {"conditional": True, "sampling_steps": 3, "guidance_scale": 1.5}
    if family == "vae":
        settings |= {"likelihood": "logistic"}
    if family == "dcgan":
        settings |= {"conditional": True}
    trained = simulacra.train(family, out=out, **settings)
    applicable = settings_for(trained.model)
    result = trained.evaluate(**{name: value for name, value in EVALUATION.items() if name in applicable})
    return {
        name: {key: item.get(key) for key in ("value", "standard_error", "interval", "n")}
        for name, item in result["metrics"].items()
    }


def main() -> None:
    """Compute, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--against", type=Path, help="a JSON file that another commit wrote")
    parser.add_argument("--only", default="", help="names of recipes and families to compute, separated by commas (default: all)")
    chosen = parser.parse_args()
    chosen.out = chosen.out.absolute()
    chosen.against = chosen.against and chosen.against.absolute()
    only = set(filter(None, chosen.only.split(",")))
    families = sorted({tomllib.loads(recipe.read_text())["family"] for recipe in RECIPES.glob("*.toml")})
    results: dict[str, dict[str, Any]] = {"weights": {}, "numbers": {}}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for recipe in sorted(RECIPES.glob("*.toml")):
            if not only or recipe.stem in only:
                results["weights"][recipe.stem] = train_recipe(recipe, Path(folder, recipe.stem))
                print(recipe.stem, results["weights"][recipe.stem][:16], flush=True)
        for family in families:
            if not only or family in only:
                results["numbers"][family] = evaluate_family(family, Path(folder, f"evaluate-{family}"))
                print(family, len(results["numbers"][family]), "numbers", flush=True)
    chosen.out.write_text(json.dumps(results, indent=1) + "\n")
    if chosen.against:
        raise SystemExit(compare(json.loads(chosen.against.read_text()), results))


def compare(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> int:
    """Print what differs; return 1 if anything does."""
    differs = [f"weights of {name}" for name, value in after["weights"].items() if before["weights"].get(name) != value]
    for family, numbers in after["numbers"].items():
        old = before["numbers"].get(family, {})
        names = sorted(set(old) | set(numbers))
        differs += [
            f"{name} of {family}: {old.get(name)} -> {numbers.get(name)}" for name in names if old.get(name) != numbers.get(name)
        ]
    print("\n".join(f"differs: {what}" for what in differs) or "equal: all weights bit for bit, all numbers to all digits")
    return int(bool(differs))


if __name__ == "__main__":
    main()

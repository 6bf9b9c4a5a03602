"""`sample` and `evaluate` in two processes, which share the images and give the numbers of one."""

import contextlib
import importlib
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.processes import together

from simulacra import families
from simulacra.interfaces import cli

FLAGS = ["--data", "digits", "--for", "3", "--batch", "16", "--threads", "1", "--snapshots", "1", "--precision", "float32"]
MODELS = {
    "vae": ["--network", "dense", "--hidden", "16", "--latent-dim", "2"],
    "diffusion": ["--conditional", "--features", "8,8", "--sampling-steps", "3"],
}
METHODS = {
    "vae": ("generate", "reconstruct", "encode", "elbo", "log_likelihood"),
    "diffusion": ("sample_with_plan", "diffusion_bound"),
}
CHUNK = 500  # images at most that a process computes at once


def run(family: str, commands: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Run commands in this process; return exit code, output, errors and the images computed by each method of the model."""
    counts = count_images(family)
    shorten_extractor_training()
    found = []
    for words in commands:
        counts.clear()
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = cli.main(list(words))
        found.append({"code": code, "output": output.getvalue(), "errors": errors.getvalue(), "images": dict(counts)})
    return found


def count_images(family: str) -> Counter[str]:
    """Count the images for which methods of the model and of extractors are called; calls inside of others are not counted."""
    from simulacra.features.networks.lenet import LeNet

    counts, inside = Counter[str](), list[str]()

    def count(owner: type, name: str) -> None:
        original = getattr(owner, name)

        def counted(self: object, images: Any, *arguments: Any, **options: Any) -> Any:
            if not inside:
                counts[name] += len(images)
            inside.append(name)
            try:
                return original(self, images, *arguments, **options)
            finally:
                inside.pop()

        setattr(owner, name, counted)

    for name in METHODS[family]:
        count(families.find(family), name)
    count(LeNet, "embed")
    evaluate: Any = importlib.import_module("simulacra.evaluation.evaluate")
    evaluate.measuring_seconds = lambda *_: 1.0  # else the first process measures a part of each metric to predict the duration
    evaluate.extractor_seconds = lambda *_: 1.0
    return counts


def shorten_extractor_training() -> None:
    """Train extractors for 8 steps."""
    training: Any = importlib.import_module("simulacra.features.training")
    recipe = training.recipe
    training.recipe = lambda network, images, overrides: recipe(network, images, {"duration": "8", "batch": 32, **overrides})


@pytest.fixture(params=sorted(MODELS))
def trained(request, tmp_path, monkeypatch) -> tuple[str, Path]:
    """A family, and a folder with a run of it and an empty cache."""
    monkeypatch.setenv("SIMULACRA_CACHE", str(tmp_path / "cache"))
    assert cli.main(["train", request.param, *FLAGS, *MODELS[request.param], "--out", str(tmp_path / "run")]) == 0
    return request.param, tmp_path


def results(trained: tuple[str, Path], count: int) -> tuple[list[list[dict[str, Any]]], np.ndarray]:
    """Sample and evaluate in `count` processes with a cache of their own; return what `run` returns by rank, and the samples."""
    family, folder = trained
    samples, cache = folder / f"samples-{count}.npz", folder / f"cache-{count}"
    sample = ["sample", str(folder / "run"), "--count", "600", "--out", str(samples)]
    os.environ["SIMULACRA_CACHE"] = str(cache)
    shutil.rmtree(folder / "run" / "evaluation", ignore_errors=True)
    found = together(run, family, [sample, ["evaluate", str(folder / "run"), "--samples", "600", "--json"]], count=count)
    with np.load(samples) as archive:
        return found, archive["images"]


@pytest.mark.long
def test_two_processes_share_the_images_of_sample_and_evaluate(trained):
    (single,), images = results(trained, 1)
    both, same = results(trained, 2)
    assert [found["code"] for found in (*single, *both[0], *both[1])] == [0] * 6, (single, both)
    np.testing.assert_array_equal(images, same)
    for number, alone in enumerate(single):
        first, second = (process[number]["images"] for process in both)
        total = Counter(first) + Counter(second)
        assert dict(total) == alone["images"]
        for method in METHODS[trained[0]]:
            assert total[method] <= CHUNK or 0.25 <= second[method] / total[method] <= 0.5, (method, first, second)
        assert not both[1][number]["output"], "only the first process prints"
        assert not both[1][number]["errors"]
    one, two = (json.loads(found[1]["output"])["metrics"] for found in (single, both[0]))
    assert one == two

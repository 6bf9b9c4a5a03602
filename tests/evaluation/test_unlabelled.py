"""Evaluation of conditional models on test images without labels, which cost only the metrics that need them."""

import numpy as np
import pytest

import simulacra
from simulacra.core.errors import UsageError


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    random = np.random.default_rng(0)
    images = random.random((60, 8, 8), dtype=np.float32)
    data = simulacra.from_array(images[:48], np.arange(48) % 2, test_images=images[48:])
    out = tmp_path_factory.mktemp("unlabelled") / "run"
    return simulacra.train(
        "cvae", dataset=data, out=out, preset="dense", hidden=(8,), duration="2", batch=8, snapshots=1, threads=1
    )


def test_metrics_that_need_labels_of_the_test_images_are_missing_with_the_reason(model):
    result = model.evaluate(samples=0)
    reason = "the test images have no labels, on which the model is conditional"
    assert result["not_applicable"]["conditional_likelihood"] == reason
    assert result["not_applicable"]["reconstruction"] == reason
    assert "conditional_nll_nats" in model.evaluate(samples=0, split="validation")["metrics"]


def test_only_classes_of_unlabelled_images_are_refused(model):
    from simulacra.data.only_classes import only_classes

    with pytest.raises(UsageError, match="has images without classes"):
        only_classes(model.dataset, ("0",))

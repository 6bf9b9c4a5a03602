"""Floors: equal numbers of generated and real images, of images that the extractor has not seen where there are enough."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.conftest import Count
from torch import Tensor

from simulacra.metrics.context import EvaluationContext
from simulacra.metrics.statistics.frechet import frechet_distance, frechet_floor
from simulacra.metrics.statistics.moments import blocked_moments
from simulacra.metrics.statistics.neighbourhoods import neighbourhoods


def rows(count: int, seed: int) -> Tensor:
    return torch.randn(count, 40, generator=torch.Generator().manual_seed(seed))


def context(generated: int, train: int, validation: int, split: str = "test", digest: str = "own") -> Any:
    """An evaluation of a model that generates the distribution of the data."""
    sets = {"generated": rows(generated, 0), "train": rows(train, 1), "validation": rows(validation, 2), "test": rows(200, 3)}
    features = {name: SimpleNamespace(features=item) for name, item in sets.items()}
    return SimpleNamespace(
        generated=features["generated"],
        train_features=features["train"],
        held_out_features=features["test"],
        settings=SimpleNamespace(split=split, seed=0),
        opened=SimpleNamespace(dataset=SimpleNamespace(validation=range(validation), digest="own")),
        extractor=SimpleNamespace(facts={"data": {"digest": digest}}),
        real=lambda split: features["validation"],
    )


def test_a_perfect_model_with_few_training_images_is_compared_at_their_number() -> None:
    # with all 3,000 generated images the ratio would be about (1/3000 + 1/200) / (1/300 + 1/200) = 0.64
    fakes, real, facts = EvaluationContext.floor_sets(context(3000, 300, 50))
    assert (len(fakes), len(real)) == (300, 300)
    assert facts["common_count"].startswith("300 of 3,000 generated images")
    reference = blocked_moments(rows(200, 3))
    distance = frechet_distance(blocked_moments(fakes), reference, Count())
    floor = frechet_floor(real, reference, len(fakes), 0, Count())
    assert distance.n == floor.n == 300
    assert 0.85 < distance.value / floor.value < 1.15
    found, usual = (neighbourhoods(side, rows(200, 3), Count())["recall"].value for side in (fakes, real))
    assert found == pytest.approx(usual, abs=0.12)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (context(100, 300, 150), "validation images"),
        (context(200, 300, 150), "training images, on which the extractor was trained"),
        (context(100, 300, 150, split="validation"), "training images, on which the extractor was trained"),
        (context(200, 300, 150, digest="other"), "training images"),
    ],
)
def test_the_images_of_a_floor_are_unseen_by_the_extractor_where_there_are_enough_and_named(made: Any, words: str) -> None:
    fakes, real, facts = EvaluationContext.floor_sets(made)
    assert facts == {"floor": words}
    assert len(fakes) == len(made.generated.features) <= len(real)

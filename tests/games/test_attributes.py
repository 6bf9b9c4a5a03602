"""Models conditional on several attributes: every attribute matters, missing labels are drawn, and labels are checked."""

import math
from typing import Any

import pytest
import torch

from simulacra import families
from simulacra.core.batch import Attribute, Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise
from simulacra.networks.labels import LabelEmbedding, drawn_labels, one_hot, unknown_labels

ATTRIBUTES = (Attribute("digit", ("0", "1", "2")), Attribute("hue", ("red", "blue")))
SPEC = DataSpec(1, 8, 8, ATTRIBUTES[0].values, attributes=ATTRIBUTES)
SMALL: dict[str, dict[str, object]] = {
    "gan": {"hidden": (8,)},
    "conv_gan": {"generator_features": 4, "discriminator_features": 4},
    "dcgan": {"features": (4, 8)},
    "wgan_gp": {"features": (4, 8)},
    "diffusion": {"features": (8, 8), "sampling_steps": 2, "guidance_scale": 2.0},
    "flow": {"features": (8, 8), "sampling_steps": 2},
}


def model_of(name: str) -> Any:
    torch.manual_seed(0)
    kind: Any = families.find(name)
    model = kind(kind.Config.of({**SMALL[name], "conditional": True}), SPEC)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # some layers are initialized to zero
    return model


@pytest.mark.parametrize("name", SMALL)
def test_each_attribute_changes_the_images_and_the_losses(name: str) -> None:
    model = model_of(name)
    assert model.label_sizes == (3, 2)
    drawn = noise(0, 0, 2, model.noise_shape)
    choices = [torch.tensor([row, row]) for row in ([0, 0], [1, 0], [0, 1])]
    with inference_mode(model):
        images = [model.generate(drawn, Condition(labels)) for labels in choices]
    losses = []
    for labels in choices:
        torch.manual_seed(1)
        batch = Batch(torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), Condition(labels))
        losses.append([loss.total.item() for turn in model.turns() for loss in turn.losses(batch).values()])
    for values in (images, [torch.tensor(each) for each in losses]):
        assert not torch.equal(values[0], values[1])
        assert not torch.equal(values[0], values[2])


@pytest.mark.parametrize("name", SMALL)
def test_labels_that_are_not_given_are_drawn_from_the_last_numbers_of_the_noise(name: str) -> None:
    model = model_of(name)
    drawn = noise(0, 0, 3, model.noise_shape)
    drawn[:, -2:] = torch.tensor([[-3.0, 3.0], [0.0, -3.0], [3.0, 3.0]])
    with inference_mode(model):
        expected = model.generate(drawn, Condition(torch.tensor([[0, 1], [1, 0], [2, 1]])))
        torch.testing.assert_close(model.generate(drawn), expected)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("labels", [[0, 1], [[0], [1]], [[0, 2], [0, 0]], [[3, 0], [0, 0]], [[0, 0]]])
def test_labels_of_wrong_shape_or_range_are_refused(name: str, labels: list[Any]) -> None:
    model = model_of(name)
    with inference_mode(model), pytest.raises(UsageError, match="labels"):
        model.generate(noise(0, 0, 2, model.noise_shape), Condition(torch.tensor(labels)))


def test_drawn_labels_are_uniform_and_independent() -> None:
    # 6 pairs with probability 1/6 among 30,000; 5.5 standard errors each: 2.3e-7 in total
    drawn = torch.randn(30_000, 5, generator=torch.Generator().manual_seed(0))
    rest, labels = drawn_labels(drawn, None, (3, 2))
    assert torch.equal(rest, drawn[:, :3])
    assert labels is not None
    shares = torch.bincount(2 * labels[:, 0] + labels[:, 1], minlength=6) / len(labels)
    assert len(shares) == 6
    assert (shares - 1 / 6).abs().max() < 5.5 * math.sqrt(1 / 6 * 5 / 6 / 30_000)


def test_the_embedding_is_the_sum_of_one_row_for_each_attribute() -> None:
    embedding, labels = LabelEmbedding((3, 2), 4, unknown=True), torch.tensor([[2, 0], [0, 1]])
    table = embedding.weight
    assert table.shape == (7, 4)
    torch.testing.assert_close(embedding(labels), torch.stack([table[2] + table[4], table[0] + table[5]]))
    torch.testing.assert_close(embedding(unknown_labels(1, (3, 2), torch.device("cpu"))), (table[3] + table[6])[None])
    assert one_hot(labels, (3, 2)).tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]


def test_all_labels_of_an_image_are_dropped_together() -> None:
    model = model_of("diffusion")
    dropped = model._without_some(torch.zeros(1000, 2, dtype=torch.int64))
    assert set(map(tuple, dropped.tolist())) == {(0, 0), (3, 2)}

"""Denoisers of captions: what a caption changes, dropout and guidance, refusals, and a bit-exact resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.captioned import BLUE, RED, SPEC, assert_resumes_bit_for_bit
from torch import Tensor

from simulacra import families
from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import training_condition
from simulacra.core.randomness import noise

NAMES = ("diffusion", "flow")


def model_of(name: str, **changes: object) -> Any:
    torch.manual_seed(0)
    kind: Any = families.find(name)
    model = kind(kind.Config.of({"features": (8, 8), "sampling_steps": 2, "captions": True, **changes}), SPEC)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))  # some layers are initialized to zero
    return model


def batch_of(tokens: Tensor | None, count: int = 4) -> Batch:
    images = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return Batch(images, Condition(torch.zeros(count, dtype=torch.int64), tokens=tokens))


@pytest.mark.parametrize("name", NAMES)
def test_a_caption_changes_the_images_and_the_losses(name: str) -> None:
    model = model_of(name)
    assert (model.accepts, model.label_sizes) == (frozenset({"tokens"}), ())
    assert model.noise_shape == (3 * 8 * 8,)
    drawn = noise(0, 0, 1, model.noise_shape)
    with inference_mode(model):
        red, blue, none = (model.generate(drawn, given) for given in (Condition(tokens=RED), Condition(tokens=BLUE), Condition()))
        padded = model.generate(drawn, Condition(tokens=torch.zeros(1, 3, dtype=torch.int64)))
    assert not torch.equal(red, blue)
    assert not torch.equal(red, none)
    torch.testing.assert_close(padded, none)  # no caption, and a caption of padding, are the same
    losses = []
    for tokens in (RED, BLUE):
        torch.manual_seed(1)
        losses.append(model.turns()[0].losses(batch_of(tokens.expand(4, -1)))["denoiser"].total)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("name", NAMES)
def test_guidance_combines_the_estimates_with_and_without_the_caption(name: str) -> None:
    model = model_of(name, sampler="euler", sampling_steps=1, guidance_scale=3.0)
    drawn, given = noise(0, 0, 1, model.noise_shape), Condition(tokens=RED)
    level = model.process.levels("euler", 1)[0]
    start = level.spread * drawn.unflatten(1, model.data.shape).float()
    with inference_mode(model):
        conditional, unconditional = (model.estimate(start, level, one).image for one in (given, Condition()))
        found = model.generate(drawn, given)
    assert not torch.equal(conditional, unconditional)
    guided = (unconditional + 3 * (conditional - unconditional)).clamp(-1, 1)
    torch.testing.assert_close(found, (guided + 1) / 2, atol=2e-3, rtol=1e-3)


def test_captions_are_dropped_with_the_given_probability() -> None:
    # 4,000 draws with probability 0.3, standard error 0.0072; 5.1 of them: 3.4e-7
    model = model_of("diffusion", label_dropout=0.3)
    dropped = model._without_some(RED.expand(4000, -1))
    assert set(map(tuple, dropped.tolist())) == {(0, 0, 0), (1, 3, 4)}
    assert abs((dropped[:, 0] == 0).double().mean().item() - 0.3) < 0.037


def test_models_without_captions_have_the_same_weights_and_draws_as_before() -> None:
    kind: Any = families.find("diffusion")
    found = []
    for spec in (SPEC, DataSpec(3, 8, 8, ("2", "7"))):
        torch.manual_seed(0)
        model = kind(kind.Config.of({"features": (8, 8)}), spec)
        batch = batch_of(RED.expand(4, -1) if spec.vocabulary else None)
        found.append((model.state_dict(), model.turns()[0].losses(batch)["denoiser"].total))
    assert found[0][0].keys() == found[1][0].keys()
    assert all(torch.equal(value, found[1][0][name]) for name, value in found[0][0].items())
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.tensor([[1, 6]]), "tokens run from 1 to 6, expected 0 to 5"),
        (torch.tensor([[1, 2, 3, 4]]), r"expected torch.int64 \[n t\] with t at most 3"),
        (torch.tensor([[1.0, 2.0]]), "tokens are torch.float32"),
        (torch.tensor([1, 2]), "tokens are given for 2 images, expected 1"),
    ],
)
def test_invalid_tokens_are_refused(tokens: Tensor, message: str) -> None:
    model = model_of("diffusion")
    with inference_mode(model), pytest.raises(UsageError, match=message):
        model.generate(noise(0, 0, 1, model.noise_shape), Condition(tokens=tokens))


def test_contradictory_settings_and_missing_captions_are_refused() -> None:
    with pytest.raises(UsageError, match="conditional and captions are both on"):
        model_of("diffusion", conditional=True)
    with pytest.raises(UsageError, match="also train on images without captions"):
        model_of("flow", label_dropout=0)
    with pytest.raises(UsageError, match="needs labels or captions"):
        model_of("diffusion", captions=False, guidance_scale=2.0)
    model = model_of("diffusion")
    with pytest.raises(UsageError, match="conditional on captions, and these images have none: leave --captions out"):
        training_condition(model.accepts, batch_of(None))
    with inference_mode(model), pytest.raises(UsageError, match="takes no labels: it accepts tokens"):
        model.generate(noise(0, 0, 1, model.noise_shape), Condition(torch.tensor([0])))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_equal_four_steps_a_resume_and_six_steps_bit_for_bit(name: str, tmp_path: Path) -> None:
    assert_resumes_bit_for_bit(lambda: model_of(name), tmp_path)

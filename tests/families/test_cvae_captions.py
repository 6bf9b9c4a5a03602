"""CVAEs of captions: a float64 reference of the bound, missing captions, refusals, labels unchanged, and a bit-exact resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from tests.captioned import BLUE, RED, SPEC, WORDS, assert_resumes_bit_for_bit
from torch import Tensor, nn

import simulacra
from simulacra.classification.evaluation import own_row
from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.family import training_condition
from simulacra.core.randomness import noise, stream
from simulacra.families.cvae import CVAE, CVAEConfig
from simulacra.networks.captions import drop_captions
from simulacra.networks.conditioning import CaptionConditioning

NONE = torch.zeros(1, 3, dtype=torch.int64)
BOTH = [{"network": "dense", "prior": "learned"}, {"network": "conv", "prior": "standard"}]


def model_of(spec: DataSpec = SPEC, **changes: Any) -> CVAE:
    settings = {"captions": True, "network": "dense", "latent_dim": 3, "hidden": (8,), "features": (4, 4), **changes}
    with stream(0, "test"):
        model = CVAE(CVAEConfig.of(settings), spec)
        for parameter in model.parameters():
            if parameter.dim() == 1 or parameter is getattr(model.label_prior, "weight", None):
                nn.init.normal_(parameter, std=0.3)  # what begins at zero would hide an error
    return model


def images_of(count: int = 4) -> Tensor:
    return torch.rand(count, *SPEC.shape, generator=torch.Generator().manual_seed(0))


def batch_of(tokens: Tensor | None, count: int = 4) -> Batch:
    return Batch(images_of(count), Condition(torch.zeros(count, dtype=torch.int64), tokens=tokens))


def given(tokens: Tensor, count: int = 4) -> Condition:
    return Condition(tokens=tokens.expand(count, -1))


def outputs(model: CVAE, condition: Condition) -> dict[str, Tensor]:
    """Return what every method computes for a condition, with the same random numbers."""
    images = images_of()
    torch.manual_seed(1)
    with inference_mode(model):
        return {
            "generate": model.generate(noise(0, 0, 4, model.noise_shape), condition),
            "decode": model.decode(torch.ones(4, 3), condition),
            "encode": model.encode(images, condition),
            "reconstruct": model.reconstruct(images, condition),
            "elbo": model.elbo(images, condition).negative_elbo,
            "log_likelihood": model.log_likelihood(images, 2, condition).nats,
        }


# --- the model


@pytest.mark.parametrize("settings", BOTH)
def test_a_caption_changes_images_posteriors_and_likelihoods(settings: dict[str, Any]) -> None:
    model = model_of(**settings)
    assert (model.accepts, model.label_sizes, model.noise_shape) == (frozenset({"tokens"}), (), (3,))
    red, blue, none = (outputs(model, condition) for condition in (given(RED), given(BLUE), Condition()))
    for name, values in red.items():
        assert not torch.equal(values, blue[name]), name
        assert not torch.equal(values, none[name]), name


@pytest.mark.parametrize("settings", BOTH)
def test_no_caption_and_a_caption_of_padding_are_the_same(settings: dict[str, Any]) -> None:
    model = model_of(**settings)
    none, padded = outputs(model, Condition()), outputs(model, given(NONE))
    for name, values in none.items():
        torch.testing.assert_close(values, padded[name], msg=name)


@pytest.mark.parametrize("settings", BOTH)
def test_each_image_has_its_own_caption(settings: dict[str, Any]) -> None:
    model, images = model_of(**settings), images_of(2)
    with inference_mode(model):
        together = model.reconstruct(images, Condition(tokens=torch.cat([RED, BLUE])))
        alone = [model.reconstruct(images[[at]], Condition(tokens=one)) for at, one in enumerate((RED, BLUE))]
    torch.testing.assert_close(together, torch.cat(alone))


def test_vectors_of_captions_have_a_mean_square_of_one_whatever_their_length() -> None:
    with stream(0, "test"):
        conditioning = CaptionConditioning(WORDS)
    tokens = torch.tensor([[3, 0, 0], [1, 3, 0], [1, 3, 4], [0, 0, 0]])
    vectors = conditioning.given(Condition(tokens=tokens), 4)
    torch.testing.assert_close(vectors.square().mean(1), torch.ones(4), atol=1e-4, rtol=0)
    assert torch.cdist(vectors, vectors).add(torch.eye(4)).min() > 0.5  # the four captions differ
    layer = conditioning.affine(6)
    assert layer(vectors).abs().max() == 0  # a learned prior begins as the standard one


@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_the_loss_of_a_dense_model_equals_a_float64_reference(prior: str) -> None:
    # the lowest dropout, and a seed for which no caption is dropped
    model, batch = model_of(prior=prior, beta=0.7, caption_dropout=0.001), batch_of(torch.cat([RED, BLUE, NONE, RED]))
    torch.manual_seed(5)
    loss = model.turns()[0].losses(batch)["cvae"].total.item()
    torch.manual_seed(5)
    assert (torch.rand(4) > 0.001).all()
    drawn = torch.randn(1, 4, 3)[0].double().numpy()
    with torch.no_grad():
        vectors = model.conditioning.given(batch.condition, 4)
    assert vectors is not None
    given = vectors.double().numpy()
    state = {name: tensor.detach().double().numpy() for name, tensor in model.state_dict().items()}
    pixels = batch.images.flatten(1).double().numpy()
    first = (
        np.concatenate([pixels, given], 1) @ np.concatenate([state["encoder.1.weight"], state["encoder_labels.weight"]], 1).T
        + state["encoder.1.bias"]
    )  # one dense layer on the concatenation
    posterior = np.maximum(first, 0) @ state["posterior_layers.1.weight"].T + state["posterior_layers.1.bias"]
    mean, log_var = np.split(posterior, 2, 1)
    prior_mean, prior_log_var = np.zeros_like(mean), np.zeros_like(mean)
    if prior == "learned":
        prior_mean, prior_log_var = np.split(given @ state["label_prior.weight"].T + state["label_prior.bias"], 2, 1)
    latents = mean + np.exp(log_var / 2) * drawn
    hidden = np.concatenate([latents, given], 1) @ state["decoder.0.weight"].T + state["decoder.0.bias"]
    p = scipy.special.expit(np.maximum(hidden, 0) @ state["decoder.2.weight"].T + state["decoder.2.bias"])
    distortion = -(pixels * np.log(p) + (1 - pixels) * np.log(1 - p)).sum(1)
    ratio = np.exp(log_var - prior_log_var)
    rate = 0.5 * (ratio + (mean - prior_mean) ** 2 / np.exp(prior_log_var) - 1 - np.log(ratio)).sum(1)
    assert loss == pytest.approx((0.7 * rate + distortion).mean(), rel=1e-5)


def test_captions_are_encoded_once_for_all_samples_of_the_latents() -> None:
    model, seen = model_of(particles=3, prior="learned"), []
    encoder = model.conditioning.encoder
    assert isinstance(encoder, nn.Module)
    encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    model.turns()[0].losses(batch_of(RED.expand(4, -1)))
    assert seen == [4]


def test_every_weight_of_the_caption_encoder_is_trained() -> None:
    model = model_of(prior="learned")
    model.turns()[0].losses(batch_of(torch.tensor([[1, 3, 4], [2, 5, 0], [3, 1, 2], [4, 5, 1]])))["cvae"].total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


# --- dropout


def test_captions_are_dropped_with_the_given_probability() -> None:
    # 4,000 draws with probability 0.3, standard error 0.0072; 5.1 of them: 3.4e-7
    torch.manual_seed(0)
    dropped = drop_captions(RED.expand(4000, -1), 0.3)
    assert set(map(tuple, dropped.tolist())) == {(0, 0, 0), (1, 3, 4)}
    assert abs((dropped[:, 0] == 0).double().mean().item() - 0.3) < 0.037


def test_captions_are_dropped_in_the_loss_alone() -> None:
    model, seen = model_of(caption_dropout=0.5), []
    encoder = model.conditioning.encoder
    assert isinstance(encoder, nn.Module)
    encoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    batch = batch_of(RED.expand(100, -1), 100)
    torch.manual_seed(0)
    model.train().turns()[0].losses(batch)
    model.train().elbo(batch.images, Condition(tokens=batch.condition.tokens))
    kept = [int((tokens[:, 0] > 0).sum()) for tokens in seen]
    assert 20 < kept[0] < 80
    assert kept[1] == 100


# --- models of labels, and refusals


@pytest.mark.parametrize("settings", BOTH)
def test_models_of_labels_have_the_same_weights_and_losses_with_and_without_a_vocabulary(settings: dict[str, Any]) -> None:
    found = []
    for spec in (SPEC, DataSpec(3, 8, 8, ("2", "7"))):
        model = model_of(spec, captions=False, **settings)
        torch.manual_seed(1)
        batch = batch_of(RED.expand(4, -1) if spec.vocabulary else None)
        found.append((model.state_dict(), model.turns()[0].losses(batch)["cvae"].total))
    assert found[0][0].keys() == found[1][0].keys()
    assert not any(name.startswith("conditioning") for name in found[0][0])
    assert all(torch.equal(value, found[1][0][name]) for name, value in found[0][0].items())
    assert torch.equal(found[0][1], found[1][1])


def test_a_model_of_captions_does_not_classify() -> None:
    model = model_of()
    assert not model.has_classifier
    with inference_mode(model), pytest.raises(NotApplicable, match="classification is not applicable to this CVAE"):
        model.class_log_probabilities(images_of())


def test_contradictory_settings_and_images_without_captions_are_refused() -> None:
    with pytest.raises(UsageError, match="semi_supervised and captions are both on"):
        model_of(semi_supervised=True)
    with pytest.raises(UsageError, match="also train on images without captions"):
        model_of(caption_dropout=0)
    with pytest.raises(UsageError, match="images with captions of at most 1,000 different words, and these have none"):
        model_of(DataSpec(3, 8, 8, ("2", "7")))
    assert model_of(DataSpec(3, 8, 8, vocabulary=WORDS)).accepts == {"tokens"}  # images need no classes
    with pytest.raises(UsageError, match="conditional on captions, and these images have none: leave --captions out"):
        training_condition(model_of().accepts, batch_of(None))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (Condition(torch.zeros(4, dtype=torch.int64)), "takes no labels: it accepts tokens"),
        (given(torch.tensor([[1, 6]])), "tokens run from 1 to 6, expected 0 to 5"),
        (given(torch.tensor([[1, 2, 3, 4]])), r"expected torch.int64 \[n t\] with t at most 3"),
        (given(RED, 3), "tokens are given for 3 images, expected 4"),
    ],
)
def test_wrong_conditions_are_refused(condition: Condition, message: str) -> None:
    model, images = model_of(), images_of()
    for call in (
        lambda: model.generate(noise(0, 0, 4, model.noise_shape), condition),
        lambda: model.decode(torch.zeros(4, 3), condition),
        lambda: model.encode(images, condition),
        lambda: model.reconstruct(images, condition),
        lambda: model.elbo(images, condition),
        lambda: model.log_likelihood(images, 2, condition),
    ):
        with inference_mode(model), pytest.raises(UsageError, match=message):
            call()


# --- training


@pytest.mark.parametrize("settings", BOTH)
def test_ten_steps_equal_four_steps_a_resume_and_six_steps_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    assert_resumes_bit_for_bit(lambda: model_of(caption_dropout=0.5, **settings), tmp_path)


# --- the command line


@pytest.mark.long
def test_commands_use_captions_and_refuse_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from simulacra.interfaces.cli import main

    def run(*words: object) -> tuple[int, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    out = tmp_path / "run"
    settings = ("--for", 3, "--batch", 16, "--network", "dense", "--hidden", 8, "--threads", 1, "--snapshots", 1)
    assert run("train", "cvae", "--data", "digits-hues", "--captions", *settings, "--out", out)[0] == 0
    caption = ("--caption", "a red seven; a blue two", "--count", 2)
    assert run("sample", out, *caption)[0] == 0
    assert run("reconstruct", out)[0] == 0
    for words in (("sample", out, "--grid", "classes"), ("sample", out, "--label", "3"), ("reconstruct", out, "--label", "3")):
        code, text = run(*words)
        assert code == 2
        assert f"{words[2]} does not apply to this CVAE: it takes no labels" in text
    wanted = "conditional_likelihood,nll,classifier_accuracy,label_likelihood"
    code, text = run("evaluate", out, "--metrics", wanted, "--particles", 2, "--verbose")
    assert code == 0
    assert "conditional_nll_nats" in text
    assert "its likelihood is that of images given their captions: see conditional_likelihood" in text
    assert "classifier_accuracy, label_likelihood: this model takes no labels" in text


def test_a_model_of_captions_of_images_with_classes_is_no_classifier_of_them(tmp_path: Path) -> None:
    images = (255 * images_of(30).permute(0, 2, 3, 1)).byte().numpy()
    captions, labels = ["a red seven", "a blue two", ""] * 10, np.array([7, 2, 7] * 10)
    data = simulacra.from_array(images, labels, captions=captions)
    settings: dict[str, Any] = {"duration": "2", "batch": 8, "network": "dense", "hidden": (8,), "snapshots": 1, "threads": 1}
    model = simulacra.train("cvae", dataset=data, out=tmp_path / "run", captions=True, **settings)
    assert own_row(model) is None
    assert model.sample(2, caption="a red seven").shape == (2, 3, 8, 8)

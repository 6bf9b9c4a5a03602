"""Conditional VAEs against closed forms and float64 enumeration: likelihoods, prior, M2, labels that are missing or wrong."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor, nn

from simulacra.core.batch import Attribute, Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise, stream
from simulacra.families.cvae import CVAE, CVAEConfig
from simulacra.networks.labels import every_label, scaled_one_hot

SIGMA = 0.1
CLASSES = ("cat", "dog", "owl")
SPEC = DataSpec(1, 2, 3, CLASSES)
ATTRIBUTES = (Attribute("digit", ("0", "1", "2")), Attribute("hue", ("red", "blue")))
SEVERAL = DataSpec(1, 8, 8, ATTRIBUTES[0].values, attributes=ATTRIBUTES)


def new(spec: DataSpec = SPEC, **settings: Any) -> CVAE:
    small: dict[str, Any] = {"latent_dim": 3, "hidden": (8,), "features": (4, 4), "network": "dense"}
    small |= {"classifier_hidden": (8,), "classifier_features": (4,), "classifier_network": "dense"}
    with stream(0, "test"):
        model = CVAE(CVAEConfig.of({**small, **settings}), spec)
        for parameter in model.parameters():
            if parameter.dim() == 1 or parameter is getattr(model.label_prior, "weight", None):
                nn.init.normal_(parameter, std=0.3)  # what begins at zero would hide an error
    return model


def images_of(count: int, spec: DataSpec = SPEC) -> Tensor:
    return torch.randint(0, 256, (count, *spec.shape), generator=torch.Generator().manual_seed(1)) / 255


# --- a linear-Gaussian model whose conditional likelihood is known


class LinearDecoder(nn.Module):
    """Logits whose sigmoid is 0.5 + W z + b_y, for [z, sqrt(3) one-hot y]."""

    def __init__(self, weight: Tensor, offsets: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.cat([weight, offsets / math.sqrt(3)], 1))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.logit(0.5 + inputs @ self.weight.T).view(-1, *SPEC.shape)


@dataclass(frozen=True)
class LinearGaussian:
    """x = 0.5 + W z + b_y + 0.1 e with z ~ N(mu_y, sigma_y^2): a CVAE whose parts are replaced, with its exact log p(x|y).

    The columns w of W are orthogonal, so that the posterior is diagonal. Relative to the prior it is that of eps in
    z = mu_y + sigma_y eps: its variance is 1 / (1 + sigma_y^2 |w|^2 / 0.01), its mean variance * sigma_y w.(x - mean_y) / 0.01.
    """

    model: CVAE
    observed: Tensor
    labels: Tensor
    exact: np.ndarray

    @classmethod
    def new(cls, prior: str, proposal: str) -> "LinearGaussian":
        generator = torch.Generator().manual_seed(0)
        columns = torch.linalg.qr(torch.randn(6, 2, generator=generator)).Q * torch.tensor([0.10, 0.06])
        offsets = 0.03 * torch.randn(6, 3, generator=generator)
        model = new(hidden=(6,), latent_dim=2, likelihood="gaussian", prior=prior)
        mu, log_var = torch.zeros(3, 2), torch.zeros(3, 2)
        if prior == "learned":
            mu, log_var = torch.randn(3, 2, generator=generator), 0.4 * torch.randn(3, 2, generator=generator)
        sigma, chosen = torch.exp(log_var / 2), "posterior" if proposal == "exact" else "prior"
        labels = torch.arange(21) % 3
        latents = mu[labels] + sigma[labels] * torch.randn(21, 2, generator=generator)
        observed = 0.5 + latents @ columns.T + offsets.T[labels] + SIGMA * torch.randn(21, 6, generator=generator)
        model.decoder, model.encoder = LinearDecoder(columns, offsets), nn.Sequential(nn.Flatten())
        model.posterior_layers = nn.Sequential(_Posterior(columns, offsets, mu, log_var, chosen))
        model.encoder_labels = _linear(100 * torch.eye(6, 3))  # from which the posterior reads the label
        if model.label_prior is not None:
            model.label_prior = _table(torch.cat([mu, log_var], 1))
        assert model.log_sigma is not None
        nn.init.constant_(model.log_sigma, math.log(SIGMA))
        exact = []
        for x, y in zip(observed, labels, strict=True):
            mean = 0.5 + columns @ mu[y] + offsets[:, y]
            scaled = (columns * sigma[y]).double()
            covariance = scaled @ scaled.T + SIGMA**2 * torch.eye(6, dtype=torch.float64)
            exact.append(scipy.stats.multivariate_normal(mean.double().numpy(), covariance.numpy()).logpdf(x.double().numpy()))
        return cls(model, observed.view(21, *SPEC.shape), labels, np.array(exact))

    @torch.no_grad()
    def estimate(self, particles: int, condition: Condition | None = None) -> np.ndarray:
        torch.manual_seed(1)
        given = Condition(self.labels) if condition is None else condition
        return self.model.log_likelihood(self.observed, particles, given).nats.double().numpy()


def _linear(weight: Tensor) -> nn.Linear:
    """Return a layer that multiplies one-hot vectors, which are scaled by sqrt(3), by a weight."""
    layer = nn.Linear(3, len(weight), bias=False)
    layer.weight = nn.Parameter(weight / math.sqrt(3))
    return layer


def _table(rows: Tensor) -> Any:
    return nn.Embedding.from_pretrained(rows, freeze=False)


class _Posterior(nn.Module):
    """The exact posterior of z, or its prior, from pixels to which 100 is added at the place of the label."""

    def __init__(self, columns: Tensor, offsets: Tensor, mu: Tensor, log_var: Tensor, kind: str) -> None:
        super().__init__()
        self.columns, self.offsets, self.mu, self.log_var, self.kind = columns, offsets, mu, log_var, kind

    def forward(self, values: Tensor) -> Tensor:
        y = values.argmax(1)
        pixels = values - 100 * torch.eye(3, 6)[y]
        mu, log_var = self.mu[y], self.log_var[y]
        if self.kind == "prior":
            return torch.cat([mu, log_var], 1)
        sigma = torch.exp(log_var / 2)
        scaled = self.columns[None] * sigma[:, None]
        variance = 1 / (1 + scaled.square().sum(1) / SIGMA**2)
        centred = pixels - 0.5 - mu @ self.columns.T - self.offsets.T[y]
        mean = variance * torch.einsum("npd,np->nd", scaled, centred) / SIGMA**2
        return torch.cat([mu + sigma * mean, variance.log() + log_var], 1)


@pytest.mark.parametrize("prior", ["standard", "learned"])
@pytest.mark.parametrize("particles", [1, 50])
def test_the_true_posterior_gives_the_exact_conditional_likelihood_with_any_number_of_particles(
    prior: str, particles: int
) -> None:
    exact = LinearGaussian.new(prior, "exact")
    np.testing.assert_allclose(exact.estimate(particles), exact.exact, atol=1e-3)  # pixels carry an offset of 100 in float32


@pytest.mark.parametrize("prior", ["standard", "learned"])
def test_the_prior_as_proposal_converges_to_the_conditional_likelihood_from_below_the_elbo(prior: str) -> None:
    known = LinearGaussian.new(prior, "prior")
    errors = {count: np.abs(known.estimate(count) - known.exact).mean() for count in (1, 30, 1000, 20_000)}
    assert errors[1] > 0.2 > errors[1000] > errors[20_000]
    assert errors[20_000] < 0.02
    with torch.no_grad():
        torch.manual_seed(1)
        terms = known.model.elbo(known.observed.repeat(500, 1, 1, 1), Condition(known.labels.repeat(500)))
    assert terms.rate.abs().max() < 1e-3  # q equals the prior of the label
    bound = -terms.negative_elbo.double().view(500, 21).mean(0).numpy()
    assert (bound < known.exact).all()


def test_without_labels_the_likelihood_is_the_sum_over_labels() -> None:
    known = LinearGaussian.new("learned", "exact")
    joint = []
    for label in range(3):
        torch.manual_seed(1)
        condition = Condition(torch.full((21,), label))
        joint.append(known.estimate(2, condition))
    expected = scipy.special.logsumexp(np.stack(joint) - math.log(3), axis=0)
    np.testing.assert_allclose(known.estimate(2, Condition()), expected, atol=2e-3)


def test_the_classes_by_bayes_rule_are_those_of_the_exact_likelihood() -> None:
    # the ELBO at the mean of an exact Gaussian posterior differs from log p(x|y) by a constant that depends on sigma_y alone
    known = LinearGaussian.new("standard", "exact")
    joint = np.stack([known.estimate(1, Condition(torch.full((21,), label))) for label in range(3)], 1)
    with inference_mode(known.model):
        found = known.model.class_log_probabilities(known.observed).double().numpy()
    np.testing.assert_allclose(found, joint - scipy.special.logsumexp(joint, axis=1, keepdims=True), atol=3e-3)


# --- M2: the inputs of the classifier


def test_the_classifier_receives_shifted_images_in_training_only() -> None:
    model = new(semi_supervised=True, classifier_shift=0.3)
    images, received = images_of(5), []
    assert model.classifier is not None
    model.classifier.register_forward_pre_hook(lambda module, inputs: received.append(inputs[0]))
    batch = Batch(images, Condition(torch.tensor([0, 1, 2, -1, -1])))
    model.train().turns()[0].losses(batch)
    model.eval().turns()[0].losses(batch)
    assert not torch.equal(received[0], images)
    assert torch.equal(received[1], images)
    kept = received[0][received[0] > 0].unique()
    assert torch.isin(kept, images).all()  # whole pixels, and zeros moved in


# --- M2 against an explicit enumeration in float64


def dense_terms(model: CVAE, images: Tensor, label: int, drawn: Tensor) -> np.ndarray:
    """Return beta * rate + distortion [b] of one label in float64, from the weights and the noise [b d]."""
    state = {name: tensor.detach().double().numpy() for name, tensor in model.state_dict().items()}
    pixels = images.flatten(1).double().numpy()
    first = pixels @ state["encoder.1.weight"].T + state["encoder.1.bias"] + 3**0.5 * state["encoder_labels.weight"][:, label]
    hidden = np.maximum(first, 0) @ state["posterior_layers.1.weight"].T + state["posterior_layers.1.bias"]
    mean, log_var = np.split(hidden, 2, 1)
    prior_mean, prior_log_var = np.split(state["label_prior.weight"][label], 2)
    latents = mean + np.exp(log_var / 2) * drawn.double().numpy()
    decoded = np.concatenate([latents, np.tile(3**0.5 * np.eye(3)[label], (len(images), 1))], 1)
    logits = np.maximum(decoded @ state["decoder.0.weight"].T + state["decoder.0.bias"], 0)
    logits = logits @ state["decoder.2.weight"].T + state["decoder.2.bias"]
    probability = scipy.special.expit(logits)
    distortion = -(pixels * np.log(probability) + (1 - pixels) * np.log(1 - probability)).sum(1)
    ratio = np.exp(log_var - prior_log_var)
    rate = 0.5 * (ratio + (mean - prior_mean) ** 2 / np.exp(prior_log_var) - 1 - np.log(ratio)).sum(1)
    return np.asarray(model.config.beta * rate + distortion)


def test_the_m2_loss_equals_an_explicit_enumeration_of_labels() -> None:
    model = new(semi_supervised=True, prior="learned", beta=0.7, classification_weight=3.0, dropout=0.0, classifier_shift=0.0)
    images, labels = images_of(7), torch.tensor([0, -1, 2, -1, 1, -1, -1])
    torch.manual_seed(5)
    loss = model.turns()[0].losses(Batch(images, Condition(labels)))["cvae"]
    torch.manual_seed(5)
    known = labels >= 0
    first = torch.randn(1, 3, 3)[0]  # of the three labelled images, then of 3 labels x 4 unlabelled images
    second = torch.randn(1, 12, 3)[0].view(3, 4, 3)
    with torch.no_grad():
        assert model.classifier is not None
        log_q = scipy.special.log_softmax(model.classifier(images).double().numpy(), 1)
    labelled = [
        dense_terms(model, images[known][[at]], int(label), first[[at]])[0] + math.log(3) - 3.0 * log_q[known.numpy()][at, label]
        for at, label in enumerate(labels[known].tolist())
    ]
    every = np.stack([dense_terms(model, images[~known], label, second[label]) + math.log(3) for label in range(3)], 1)
    q = np.exp(log_q[~known.numpy()])
    unlabelled = (q * every).sum(1) + (q * np.log(q)).sum(1)  # sum_y q (L) - H(q)
    assert loss.total.item() == pytest.approx(np.mean(labelled) + np.mean(unlabelled), rel=1e-5)
    assert loss.parts["unlabelled_nats"].item() == pytest.approx(np.mean(unlabelled), rel=1e-5)


def test_the_marginal_elbo_is_the_m2_bound_of_unlabelled_images() -> None:
    model, images = new(semi_supervised=True, prior="learned", dropout=0.0, classifier_shift=0.0), images_of(4)
    torch.manual_seed(5)
    loss = model.turns()[0].losses(Batch(images, Condition(torch.full((4,), -1))))["cvae"]
    torch.manual_seed(5)
    with torch.no_grad():
        terms = model.elbo(images)
    assert terms.negative_elbo.mean().item() == pytest.approx(loss.total.item(), rel=1e-5)
    assert (terms.rate > 0).all()


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_enumerated_labels_give_what_each_label_gives_alone(network: str) -> None:
    spec = DataSpec(1, 8, 8, CLASSES)
    model, images = new(spec, network=network, prior="learned"), images_of(5, spec)
    with inference_mode(model):
        rate, distortion = model._terms_of_every_label(images, model.encoder(images), 0)
        for label in range(3):
            labels = torch.full((5,), label)
            alone = model._terms(images, model.encoder(images), labels, 0)
            torch.testing.assert_close(rate[:, label], alone.rate)
            torch.testing.assert_close(distortion[:, label], alone.distortion)


def test_a_conv_encoder_is_evaluated_once_for_all_labels() -> None:
    spec = DataSpec(1, 8, 8, CLASSES)
    model, seen = new(spec, network="conv", semi_supervised=True), []
    model.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    model.turns()[0].losses(Batch(images_of(6, spec), Condition(torch.tensor([0, -1, 1, -1, 2, -1]))))
    assert seen == [6]


# --- the prior, and labels that are not given


def test_a_learned_prior_begins_as_the_standard_one_and_generate_maps_noise_to_it() -> None:
    with stream(0, "test"):
        untrained = CVAE(CVAEConfig(network="dense", hidden=(8,), latent_dim=3, prior="learned"), SPEC)
    assert untrained.label_prior is not None
    assert untrained.label_prior.weight.abs().max() == 0
    model, labels = new(prior="learned"), torch.tensor([0, 1, 2, 0])
    assert model.label_prior is not None
    drawn = noise(0, 0, 4, model.noise_shape)
    mean, log_var = model.label_prior.weight[labels].chunk(2, 1)
    with inference_mode(model):
        latents = mean + torch.exp(log_var / 2) * drawn[:, :3]
        expected = torch.sigmoid(model.decoder(torch.cat([latents, scaled_one_hot(labels, (3,))], 1)))
        torch.testing.assert_close(model.generate(drawn, Condition(labels)), expected)


def test_missing_labels_are_the_most_probable_ones_in_reconstructions_and_a_mean_in_decoding() -> None:
    model, images = new(), images_of(6)
    with inference_mode(model):
        best = Condition(model.class_log_probabilities(images).argmax(1))
        torch.testing.assert_close(model.encode(images), model.encode(images, best))
        torch.testing.assert_close(model.reconstruct(images), model.reconstruct(images, best))
        latents = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
        each = [model.decode(latents, Condition(torch.full((4,), label))) for label in range(3)]
        torch.testing.assert_close(model.decode(latents), torch.stack(each).mean(0))


def test_labels_that_are_missing_or_unknown_are_refused_in_training() -> None:
    images = images_of(3)
    for semi_supervised in (False, True):
        (turn,) = new(semi_supervised=semi_supervised).turns()
        with pytest.raises(UsageError, match="conditional on labels, and these images have none"):
            turn.losses(Batch(images))
        with pytest.raises(UsageError, match="labels run from"):
            turn.losses(Batch(images, Condition(torch.tensor([0, -2, 1]))))
    with pytest.raises(UsageError, match="labels run from -1"):
        new().turns()[0].losses(Batch(images, Condition(torch.tensor([0, -1, 1]))))
    with pytest.raises(UsageError, match="labels run from -1"):
        new(semi_supervised=True).elbo(images, Condition(torch.tensor([0, -1, 1])))


def test_images_without_classes_and_m2_with_several_attributes_are_refused() -> None:
    with pytest.raises(UsageError, match="these have no classes: train vae"):
        CVAE(CVAEConfig(), DataSpec(1, 8, 8))
    with pytest.raises(UsageError, match=r"several \(digit, hue\)"):
        CVAE(CVAEConfig(semi_supervised=True), SEVERAL)


# --- several attributes


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_every_attribute_changes_images_posteriors_and_losses(network: str) -> None:
    model, images = new(SEVERAL, network=network, prior="learned"), images_of(2, SEVERAL)
    assert model.noise_shape == (5,)
    choices = [torch.tensor([row, row]) for row in ([0, 0], [1, 0], [0, 1])]
    drawn = noise(0, 0, 2, model.noise_shape)
    with inference_mode(model):
        generated = [model.generate(drawn, Condition(labels)) for labels in choices]
        encoded = [model.encode(images, Condition(labels)) for labels in choices]
    losses = []
    for labels in choices:
        torch.manual_seed(1)
        losses.append(model.turns()[0].losses(Batch(images, Condition(labels)))["cvae"].total.detach())
    for values in (generated, encoded, losses):
        assert not torch.equal(values[0], values[1])
        assert not torch.equal(values[0], values[2])


def test_classes_of_several_attributes_are_all_their_combinations() -> None:
    model, images = new(SEVERAL), images_of(3, SEVERAL)
    assert every_label((3, 2)).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]
    with inference_mode(model):
        found = model.class_log_probabilities(images)
        best = Condition(every_label((3, 2))[found.argmax(1)])
        torch.testing.assert_close(model.encode(images), model.encode(images, best))
    assert found.shape == (3, 6)


@pytest.mark.parametrize("labels", [[0, 1], [[0], [1]], [[0, 2], [0, 0]], [[3, 0], [0, 0]], [[0, 0]]])
def test_labels_of_wrong_shape_or_range_are_refused(labels: list[Any]) -> None:
    model, images, condition = new(SEVERAL), images_of(2, SEVERAL), Condition(torch.tensor(labels))
    for call in (
        lambda: model.elbo(images, condition),
        lambda: model.encode(images, condition),
        lambda: model.decode(torch.zeros(2, 3), condition),
        lambda: model.class_log_probabilities(images, condition),
    ):
        with pytest.raises(UsageError, match="labels"):
            call()

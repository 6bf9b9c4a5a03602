"""The restorer: closed forms of a linear-Gaussian model, conditions that it derives and refuses, hidden pixels only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.errors import UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise
from simulacra.degradations import parse
from simulacra.families.restorer import Restorer, RestorerConfig
from simulacra.games.latent_variable import PixelDistribution
from simulacra.objectives import likelihood
from simulacra.objectives.divergence import kl_to_standard_normal

SPEC = DataSpec(1, 8, 8)


def restorer(spec: DataSpec = SPEC, **settings: object) -> Restorer:
    sizes = {"latent_dim": 4, "features": (8, 8), "hidden": (16,)}
    torch.manual_seed(0)
    return Restorer(RestorerConfig.of({**sizes, **settings}), spec).eval()


def images_of(count: int, spec: DataSpec = SPEC) -> Tensor:
    source = torch.Generator().manual_seed(1)
    return (torch.rand(count, *spec.shape, generator=source) * 255).round() / 255


# --- a model whose conditional likelihood is known


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


@dataclass(frozen=True)
class LinearPixels(PixelDistribution):
    """Gaussian pixels whose mean is the decoder's output itself."""

    sigma: float = 0.3

    def log_likelihood(
        self, outputs: Tensor, observed: Tensor, log_sigma: Tensor | None = None, weight: Tensor | None = None
    ) -> Tensor:
        return likelihood.gaussian(outputs, torch.tensor(self.sigma).log(), observed, weight)


class LinearModel:
    """x = base + 0.5 d + w z + sigma eps with z ~ N(0.2 + mean of d, 0.7^2) and one latent, so that q(z | x, d) is exact."""

    SIGMA, PRIOR_SIGMA = 0.3, 0.7

    def __init__(self) -> None:
        source = torch.Generator().manual_seed(2)
        self.w, self.base = (torch.randn(1, *SPEC.shape, generator=source) for _ in range(2))

    def offset(self, image: Tensor) -> Tensor:
        return self.base + 0.5 * image

    def prior(self, image: Tensor) -> tuple[Tensor, Tensor]:
        mean = 0.2 + image.flatten(1).mean(1, keepdim=True)
        return mean, torch.full_like(mean, 2 * torch.tensor(self.PRIOR_SIGMA).log().item())

    def posterior(self, observed: Tensor, image: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.prior(image)
        slopes = (self.w * (1 - known)).flatten(1)
        precision = torch.exp(-log_var) + (slopes**2).sum(1, keepdim=True) / self.SIGMA**2
        pull = (slopes * (observed - self.offset(image)).flatten(1)).sum(1, keepdim=True) / self.SIGMA**2
        return (mean * torch.exp(-log_var) + pull) / precision, -precision.log()

    def family(self, *, exact: bool = True) -> Restorer:
        """Return a restorer with these maps as its networks; its posterior is the exact one, or else the prior."""
        family = restorer(latent_dim=1)
        family.pixels = LinearPixels("bernoulli", False, 1, 64, self.SIGMA)
        family.condition_encoder = Function(lambda given: (given[:, :1], [self.offset(given[:, :1])]))  # type: ignore[assignment]
        family.prior = Function(lambda image: torch.cat(self.prior(image), 1))  # type: ignore[assignment]
        family.posterior_encoder = Function(lambda inputs: (inputs, []))  # type: ignore[assignment]
        family.posterior_head = Function(  # type: ignore[assignment]
            lambda inputs: torch.cat(self.posterior(*inputs.split(1, 1)) if exact else self.prior(inputs[:, 1:2]), 1)
        )
        family.decoder = Function(  # type: ignore[assignment]
            lambda latents, skips: self.w * latents[:, :, None, None] + skips[0]
        )
        return family

    def log_likelihood(self, observed: Tensor, condition: Condition) -> Tensor:
        """Return log N(hidden pixels; offset + w * prior mean, prior variance * w w^T + sigma^2 I), in float64."""
        found = []
        assert condition.image is not None
        assert condition.known is not None
        means, _ = self.prior(condition.image)
        for x, offset, mean, known in zip(
            observed.double(), self.offset(condition.image).double(), means.double(), condition.known, strict=True
        ):
            hidden = known[0] == 0
            w = self.w[0, 0][hidden].double()
            covariance = self.PRIOR_SIGMA**2 * torch.outer(w, w) + self.SIGMA**2 * torch.eye(len(w), dtype=torch.float64)
            normal = torch.distributions.MultivariateNormal(offset[0][hidden] + mean * w, covariance)
            found.append(normal.log_prob(x[0][hidden]))
        return torch.stack(found)


@pytest.mark.parametrize("particles", [1, 7])
def test_with_the_exact_posterior_every_importance_sample_gives_the_conditional_likelihood(particles: int) -> None:
    model = LinearModel()
    family, images = model.family(), images_of(6)
    condition = family.complete_condition(Condition(), images)
    torch.manual_seed(0)
    found = family.log_likelihood(images, particles, condition)
    assert found.kind == "lower bound"
    torch.testing.assert_close(found.nats.double(), model.log_likelihood(images, condition), rtol=1e-5, atol=1e-3)


def test_the_mean_bound_of_the_exact_posterior_is_the_conditional_likelihood() -> None:
    model = LinearModel()
    family, images = model.family(), images_of(1).expand(20_000, -1, -1, -1)
    condition = family.complete_condition(Condition(), images[:1]).map(lambda values: values.expand(20_000, -1, -1, -1))
    torch.manual_seed(0)
    bounds = family.elbo(images, condition).negative_elbo.double()
    expected = -model.log_likelihood(images[:1], condition[:1]).item()
    assert abs(bounds.mean() - expected) < 5 * bounds.std() / 20_000**0.5  # five standard errors: 6e-7


def test_importance_samples_of_the_prior_approach_the_conditional_likelihood() -> None:
    model = LinearModel()
    family, images = model.family(exact=False), images_of(3)
    condition = family.complete_condition(Condition(), images)
    expected = model.log_likelihood(images, condition)
    torch.manual_seed(0)
    loose, tight = (family.log_likelihood(images, particles, condition).nats.double() for particles in (1, 20_000))
    assert (loose < expected).all()
    torch.testing.assert_close(tight, expected, rtol=0, atol=0.3)


# --- hidden pixels


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "logistic"])
def test_a_fully_known_image_costs_nothing(kind: str) -> None:
    family, images = restorer(likelihood=kind), images_of(3)
    known = torch.ones_like(images[:, :1])
    known[0, :, 2:] = 0  # the first image is not fully known
    condition = Condition(image=images * known, known=known)
    with inference_mode(family):
        terms = family.elbo(images, condition)
        assert terms.negative_elbo[1:].tolist() == [0, 0]
        assert terms.negative_elbo[0] != 0
        torch.testing.assert_close(family.log_likelihood(images, 4, condition).nats[1:], torch.zeros(2), rtol=0, atol=1e-5)
        if kind == "bernoulli":
            assert family.floor(images, condition)[1:].tolist() == [0, 0]  # type: ignore[index]


def test_the_floor_is_the_entropy_of_hidden_pixels() -> None:
    family, images = restorer(degradation="left"), images_of(3)
    condition = family.complete_condition(Condition(), images)
    torch.testing.assert_close(family.floor(images, condition), likelihood.bernoulli_entropy(images[..., :4]))
    assert restorer(likelihood="logistic").floor(images, condition) is None


def test_the_target_names_hidden_pixels_and_the_degradations() -> None:
    target = restorer(degradation="box,blur:1").target
    assert target.startswith("hidden pixels given the degraded image (box,blur:1): grey levels")
    assert restorer(likelihood="logistic").nats_to_discrete is None


def test_the_posterior_is_in_units_of_the_prior() -> None:
    family, images = restorer(), images_of(5)
    condition = family.complete_condition(Condition(), images)
    with inference_mode(family):
        posterior, rate = family.posterior(images, condition), family.elbo(images, condition).rate
    torch.testing.assert_close(kl_to_standard_normal(posterior.mean, posterior.log_var).sum(1), rate, rtol=1e-4, atol=1e-4)


# --- draws


@pytest.mark.parametrize("text", ["quadrants:1", "random-mask:0.5", "blur:1", "blur:1+noise:0.1", "downscale:2", "columns:0.25"])
def test_draws_agree_with_known_pixels_and_differ_elsewhere(text: str) -> None:
    spec = DataSpec(3, 9, 10)
    family, images = restorer(spec, degradation=text), images_of(3, spec)
    degraded = parse(text).apply(images, lambda *shape: torch.randn(3, *shape))
    first, second = (noise(seed, 0, 3, family.noise_shape) for seed in (0, 1))
    with inference_mode(family):
        draws = [family.restore(degraded.image, degraded.known, drawn) for drawn in (first, second, first)]
    known = degraded.known.bool().expand_as(images)
    assert torch.equal(draws[0], draws[2])
    assert torch.equal(draws[0][known], images[known])
    assert (draws[0] != draws[1])[~known].float().mean() > 0.9


# --- conditions


def test_the_derived_condition_is_a_function_of_each_image_alone() -> None:
    family, images = restorer(degradation="random-mask:0.5,noise:0.2,quadrants:1"), images_of(30)
    torch.manual_seed(1)
    together = family.complete_condition(Condition(), images)
    torch.manual_seed(2)
    some = family.complete_condition(Condition(), images[[7, 3]])
    assert torch.equal(some.image, together.image[[7, 3]])  # type: ignore[index, arg-type]
    assert torch.equal(some.known, together.known[[7, 3]])  # type: ignore[index, arg-type]
    counts = together.known.sum((1, 2, 3)).tolist()  # type: ignore[union-attr]
    assert 0 in counts  # noise
    assert 16 in counts  # one quadrant of 64 pixels
    assert any(count not in (0, 16) for count in counts)


def test_a_condition_that_is_given_is_not_replaced() -> None:
    family, images = restorer(), images_of(2)
    given = Condition(image=images / 2, known=torch.zeros_like(images))
    assert family.complete_condition(given, images) is given


def wrong_conditions() -> dict[str, tuple[Condition, str]]:
    image, known = torch.rand(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    return {
        "nothing": (Condition(), "no condition image"),
        "no image": (Condition(known=known), "no condition image"),
        "no known pixels": (Condition(image=image), "no condition known"),
        "another size": (Condition(image=image[..., :4], known=known), r"image has shape \(2, 1, 8, 4\), expected \[n 1 8 8\]"),
        "colour": (Condition(image=image.expand(2, 3, 8, 8), known=known), r"image has shape \(2, 3, 8, 8\)"),
        "known per channel": (Condition(image=image, known=known.expand(2, 3, 8, 8)), r"known has shape \(2, 3, 8, 8\)"),
        "one image": (Condition(image=image[:1], known=known), "image are given for 1 images, expected 2"),
        "labels": (Condition(torch.zeros(2).long(), image, known), "takes no labels: it accepts image, known"),
        "tokens": (Condition(image=image, known=known, tokens=torch.zeros(2, 3).long()), "takes no tokens"),
    }


@pytest.mark.parametrize("name", wrong_conditions())
def test_wrong_conditions_are_refused_by_name(name: str) -> None:
    condition, message = wrong_conditions()[name]
    family, images = restorer(), images_of(2)
    calls: tuple[Callable[[], object], ...] = (
        lambda: family.elbo(images, condition),
        lambda: family.log_likelihood(images, 2, condition),
        lambda: family.posterior(images, condition),
        lambda: family.floor(images, condition),
    )
    for call in calls:
        with pytest.raises(UsageError, match=message):
            call()


def test_wrong_degraded_images_are_refused_by_name() -> None:
    family, images = restorer(), images_of(2)
    drawn = noise(0, 0, 2, family.noise_shape)
    with pytest.raises(UsageError, match=r"the condition known has shape \(2, 1, 8, 4\)"):
        family.restore(images, torch.ones(2, 1, 8, 4), drawn)
    with pytest.raises(UsageError, match="takes no labels"):
        family.restore(images, torch.ones(2, 1, 8, 8), drawn, Condition(torch.zeros(2).long()))


def test_wrong_degradations_are_refused_as_settings() -> None:
    with pytest.raises(UsageError, match="did you mean 'quadrants'"):
        RestorerConfig.of({"degradation": "quadrant:1"})
    with pytest.raises(UsageError, match="no degradation: name one"):
        RestorerConfig.of({"degradation": ""})
    with pytest.raises(UsageError, match="features is empty"):
        RestorerConfig.of({"features": []})


# --- training


@pytest.mark.parametrize("text", ["box:random", "blur:1+noise:0.1", "downscale:2", "fourier-columns:0.5,left"])
def test_losses_are_finite_for_every_kind_of_degradation_and_drawn_anew(text: str) -> None:
    family = restorer(degradation=text, likelihood="logistic")
    torch.manual_seed(0)
    losses = [family.turns()[0].losses(Batch(images_of(4)))["restorer"] for _ in range(2)]
    assert all(loss.total.isfinite() for loss in losses)
    assert losses[0].total != losses[1].total
    assert set(losses[0].parts) == {"negative_elbo_nats", "rate_nats", "distortion_nats"}


def test_beta_weights_the_rate() -> None:
    batch = Batch(images_of(4))
    for beta in (0.0, 2.0):
        torch.manual_seed(0)
        loss = restorer(beta=beta).turns()[0].losses(batch)["restorer"]
        torch.testing.assert_close(loss.total, beta * loss.parts["rate_nats"] + loss.parts["distortion_nats"])

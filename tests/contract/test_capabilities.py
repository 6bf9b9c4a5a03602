"""Every capability of every family: shapes, ranges, determinism, refused conditions, and no change of the model."""

import inspect
import math
from collections import Counter
from dataclasses import fields
from typing import Any

import pytest
import torch
from tests.contract.conftest import calls
from torch import Tensor

from simulacra.core import capabilities
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import NotApplicable, UsageError
from simulacra.core.eval_mode import inference_mode
from simulacra.core.randomness import noise
from simulacra.games import denoising
from simulacra.runs.latent_paths.paths import linear, spherical


@pytest.fixture(autouse=True)
def _few_integration_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Integrate the paths between noise and images in few steps: an untrained network needs no more."""
    monkeypatch.setattr(denoising, "_INVERSION", 8)


def assert_images(images: Tensor, case: Any, count: int) -> None:
    assert images.shape == (count, *case.spec.shape)
    assert images.dtype == torch.float32
    assert torch.isfinite(images).all()
    assert images.min() >= 0
    assert images.max() <= 1


def twice(function: Any, *arguments: Any) -> Tensor:
    """Return the result, after asserting that it does not depend on the state of the global generator."""
    torch.manual_seed(1)
    first = function(*arguments)
    torch.manual_seed(2)
    assert torch.equal(first, function(*arguments))
    return first


def derived(family: Any, images: Tensor) -> Condition:
    """Return the condition that the model derives from images; of most models it is empty."""
    condition: Condition = family.complete_condition(UNCONDITIONAL, images)
    return condition


# --- Samples


def test_generated_images_have_the_shape_and_range_of_the_data_and_depend_on_the_noise_alone(sampling_case: Any) -> None:
    family = sampling_case.new()
    drawn = noise(0, 0, 3, family.noise_shape)
    with inference_mode(family):
        images = twice(family.generate, drawn)
        other = family.generate(noise(1, 0, 3, family.noise_shape))
    assert_images(images, sampling_case, 3)
    assert not torch.equal(images, other)


def test_an_image_does_not_depend_on_the_others_that_are_generated_with_it(sampling_case: Any) -> None:
    # trap 16: in training mode a batch norm would mix them
    family = sampling_case.new().train()
    drawn = noise(0, 0, 4, family.noise_shape)
    with inference_mode(family):
        together, alone = family.generate(drawn), family.generate(drawn[2:3])
    torch.testing.assert_close(together[2:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_path_between_two_noises_begins_and_ends_with_their_images(sampling_case: Any) -> None:
    family = sampling_case.new()
    start, end = noise(0, 0, 4, family.noise_shape).unflatten(0, (2, 2))
    for path in (linear, spherical):
        points = path(start.flatten(1), end.flatten(1), 4).unflatten(2, family.noise_shape)
        assert torch.equal(points[0], start)
        assert torch.equal(points[-1], end)
        with inference_mode(family):
            images = family.generate(points.flatten(0, 1))
            ends = torch.cat([family.generate(start), family.generate(end)])
        assert_images(images, sampling_case, 8)
        torch.testing.assert_close(torch.cat([images[:2], images[-2:]]), ends, rtol=1e-4, atol=1e-5)


# --- SamplesIteratively


@pytest.mark.long
def test_every_sampler_generates_images_in_any_number_of_steps(iterative_case: Any) -> None:
    family = iterative_case.new()
    drawn = noise(0, 0, 3, family.noise_shape)
    with inference_mode(family):
        for name in family.samplers:
            for steps in (1, 2):
                plan, calls = capabilities.SamplingPlan(name, steps), Counter[str]()
                images = twice(
                    lambda plan=plan, calls=calls: family.sample_with_plan(drawn, UNCONDITIONAL, plan, lambda: calls.update("n"))
                )
                assert_images(images, iterative_case, 3)
                assert calls["n"] == 2 * family.evaluations(plan)
                alone = family.sample_with_plan(drawn[1:2], UNCONDITIONAL, plan, lambda: None)
                torch.testing.assert_close(alone, images[1:2], rtol=1e-4, atol=1e-4)


def test_generate_follows_the_plan_of_the_settings(iterative_case: Any) -> None:
    family = iterative_case.new()
    drawn = noise(0, 0, 2, family.noise_shape)
    assert family.plan.sampler in family.samplers
    with inference_mode(family):
        assert torch.equal(family.generate(drawn), family.sample_with_plan(drawn, UNCONDITIONAL, family.plan, lambda: None))


def test_plans_that_cannot_be_followed_are_refused(iterative_case: Any) -> None:
    family = iterative_case.new()
    drawn = noise(0, 0, 1, family.noise_shape)
    for key, (name, steps) in {"none": ("none", 2), "steps": (family.samplers[0], 0)}.items():
        with pytest.raises(UsageError, match=key):
            family.sample_with_plan(drawn, UNCONDITIONAL, capabilities.SamplingPlan(name, steps), lambda: None)


def test_the_forward_process_begins_with_images_and_the_reverse_process_ends_with_generated_ones(iterative_case: Any) -> None:
    family, images = iterative_case.new(), iterative_case.batch(2).images
    drawn = noise(0, 0, 2, family.noise_shape)
    with inference_mode(family):
        forward, reverse = family.forward_process(images, drawn, 4), family.reverse_process(drawn, 4)
        assert torch.equal(reverse[-1], family.generate(drawn))
    assert torch.equal(forward[0], images)
    for states in (*forward, *reverse):
        assert_images(states, iterative_case, 2)


# --- Restores


def test_known_pixels_are_kept_and_the_others_depend_on_the_noise(restoring_case: Any) -> None:
    family, images = restoring_case.new(), restoring_case.batch(3).images
    known = torch.zeros(images.shape[2:], dtype=torch.bool)
    known[:, : images.shape[3] // 2] = True
    first, second = (noise(seed, 0, 3, family.noise_shape) for seed in (0, 1))
    with inference_mode(family):
        given = known.float().expand(3, 1, -1, -1)
        restored = twice(family.restore, images, given, first)
        assert_images(restored, restoring_case, 3)
        torch.testing.assert_close(restored[:, :, known], images[:, :, known], rtol=0, atol=1e-5)
        assert not torch.equal(restored, family.restore(images, given, second))
        torch.testing.assert_close(family.restore(images[1:2], given[1:2], first[1:2]), restored[1:2], rtol=1e-4, atol=1e-4)


# --- LatentSpace of a sampler


@pytest.mark.long
def test_decoding_the_latents_of_an_inverted_sampler_returns_the_images(inverting_case: Any) -> None:
    family, images = inverting_case.new().eval(), inverting_case.batch(3).images
    with inference_mode(family):
        latents = twice(family.encode, images)
        returned = family.decode(latents)
    assert latents.dim() == 2
    assert latents.isfinite().all()
    assert_images(returned, inverting_case, 3)
    torch.testing.assert_close(returned, images, rtol=0, atol=0.02)


# --- HasFeatures


def test_features_are_finite_vectors_of_each_image_alone(feature_case: Any) -> None:
    family, images = feature_case.new(), feature_case.batch(3).images
    with inference_mode(family):
        found = twice(family.features, images, 0.1)
        alone, noisier = family.features(images[1:2], 0.1), family.features(images, 0.9)
    assert found.dim() == 2
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert not torch.equal(found, noisier)
    torch.testing.assert_close(alone, found[1:2], rtol=1e-4, atol=1e-5)


# --- LatentSpace of an encoder, Reconstructs


def test_encoding_gives_one_finite_vector_per_image_the_same_each_time(amortized_case: Any) -> None:
    family, images = amortized_case.new(), amortized_case.batch(3).images
    with inference_mode(family):
        latents = twice(family.encode, images)
        torch.testing.assert_close(family.encode(images[1:2]), latents[1:2], rtol=1e-4, atol=1e-5)
    assert latents.dim() == 2
    assert len(latents) == 3
    assert torch.isfinite(latents).all()
    assert not torch.equal(latents[0], latents[1])


def test_decoding_gives_images_of_latents_the_same_each_time(amortized_case: Any) -> None:
    family = amortized_case.new()
    latents = torch.randn(3, family.latent_dim, generator=torch.Generator().manual_seed(0))
    with inference_mode(family):
        images = twice(family.decode, latents)
        torch.testing.assert_close(family.decode(latents[1:2]), images[1:2], rtol=1e-4, atol=1e-5)
    assert_images(images, amortized_case, 3)
    assert not torch.equal(images[0], images[1])
    assert amortized_case.kind.prior in ("standard normal", "none")


def test_decoding_accepts_what_encoding_gives(amortized_case: Any) -> None:
    family = amortized_case.new()
    with inference_mode(family):
        latents = family.encode(amortized_case.batch(3).images)
        images = family.decode(latents)
    assert latents.shape == (3, family.latent_dim)
    assert_images(images, amortized_case, 3)


def test_decoding_extreme_latents_gives_finite_images(amortized_case: Any) -> None:
    family = amortized_case.new()
    with inference_mode(family):
        images = family.decode(torch.tensor([[-1e4], [0.0], [1e4]]).expand(3, family.latent_dim))
    assert_images(images, amortized_case, 3)


def test_reconstructions_have_the_shape_and_range_of_the_data_and_are_the_same_each_time(reconstructing_case: Any) -> None:
    family, images = reconstructing_case.new(), reconstructing_case.batch(3).images
    with inference_mode(family):
        reconstructed = twice(family.reconstruct, images)
        torch.testing.assert_close(family.reconstruct(images[1:2]), reconstructed[1:2], rtol=1e-4, atol=1e-5)
    assert_images(reconstructed, reconstructing_case, 3)
    assert not torch.equal(reconstructed[0], reconstructed[1])


def test_black_and_white_images_are_accepted(reconstructing_case: Any) -> None:
    family = reconstructing_case.new()
    extremes = torch.stack([torch.zeros(reconstructing_case.spec.shape), torch.ones(reconstructing_case.spec.shape)])
    with inference_mode(family):
        assert_images(family.reconstruct(extremes), reconstructing_case, 2)


# --- HasPosterior


def test_the_posterior_is_finite_and_its_mean_is_the_latent(posterior_case: Any) -> None:
    family, images = posterior_case.new(), posterior_case.batch(3).images
    with inference_mode(family):
        condition = derived(family, images)
        posterior = family.posterior(images, condition)
        mean = twice(lambda: family.posterior(images, condition).mean)
        log_var = twice(lambda: family.posterior(images, condition).log_var)
        if isinstance(family, capabilities.LatentSpace):
            assert torch.equal(family.encode(images), mean)
    assert posterior.mean.shape == posterior.log_var.shape
    assert len(posterior.mean) == 3
    assert torch.isfinite(mean).all()
    assert torch.isfinite(log_var.exp()).all()
    assert (log_var.exp() > 0).all()


# --- HasLikelihood


def test_the_elbo_has_finite_terms_per_image_and_a_rate_that_is_not_negative(likelihood_case: Any) -> None:
    family, images = likelihood_case.new(), likelihood_case.batch(3).images
    with inference_mode(family):
        condition = derived(family, images)
        terms = family.elbo(family.observe(images, condition), condition)
    for term in (terms.rate, terms.distortion, terms.negative_elbo):
        assert term.shape == (3,)
        assert term.dtype == torch.float32
        assert torch.isfinite(term).all()
    assert (terms.rate >= -1e-4).all()
    assert torch.equal(terms.negative_elbo, terms.rate + terms.distortion)


def test_observations_have_the_shape_and_range_of_images(likelihood_case: Any) -> None:
    images = likelihood_case.batch(3).images
    with inference_mode(family := likelihood_case.new()):
        assert_images(family.observe(images, derived(family, images)), likelihood_case, 3)


def test_log_likelihoods_are_finite_and_named_and_not_positive_where_data_are_discrete(likelihood_case: Any) -> None:
    family, images = likelihood_case.new(), likelihood_case.batch(3).images
    with inference_mode(family):
        condition = derived(family, images)
        result = family.log_likelihood(family.observe(images, condition), 5, condition)
    assert result.nats.shape == (3,)
    assert torch.isfinite(result.nats).all()
    assert result.kind in ("exact", "lower bound", "estimate")
    if not family.nats_to_discrete:  # None or 0: no density
        assert (result.nats <= 0).all()


def test_the_same_noise_gives_the_same_score(likelihood_case: Any) -> None:
    # trap 21: scores are drawn, but from the caller's stream alone
    family, images = likelihood_case.new(), likelihood_case.batch(3).images
    scores = []
    with inference_mode(family):
        condition = derived(family, images)
        for _ in range(2):
            torch.manual_seed(3)
            observed = family.observe(images, condition)
            bound = family.elbo(observed, condition).negative_elbo
            scores.append((bound, family.log_likelihood(observed, 4, condition).nats))
    assert torch.equal(scores[0][0], scores[1][0])
    assert torch.equal(scores[0][1], scores[1][1])


def test_fifty_importance_samples_are_no_worse_than_the_elbo(small_likelihood_case: Any) -> None:
    # E(IWAE-50) >= ELBO; 64 pairs, 5.5 standard errors of their difference, one-sided: 4e-7 (Student, 63 degrees of freedom);
    # an error of sign or of a factor in the weights is larger by orders of magnitude
    family = small_likelihood_case.new()
    torch.manual_seed(0)
    with inference_mode(family):
        images = small_likelihood_case.batch(4).images.repeat(16, 1, 1, 1)
        condition = derived(family, images)
        observed = family.observe(images, condition)
        bound = family.elbo(observed, condition).negative_elbo.double()
        gain = family.log_likelihood(observed, 50, condition).nats.double() + bound
    assert gain.mean() > -5.5 * gain.std() / 8 - 1e-3


def test_the_target_is_described(likelihood_case: Any) -> None:
    family = likelihood_case.new()
    assert len(family.target) > 3
    assert family.nats_to_discrete is None or family.nats_to_discrete >= 0


def test_the_floor_is_not_above_the_negative_log_likelihood_and_not_negative(likelihood_case: Any) -> None:
    family, images = likelihood_case.new(), likelihood_case.batch(3).images
    torch.manual_seed(0)
    with inference_mode(family):
        condition = derived(family, images)
        observed = family.observe(images, condition)
        floor = family.floor(observed, condition)
        if floor is None:
            return
        distortion = family.elbo(observed, condition).distortion
    assert floor.shape == (3,)
    assert (floor >= 0).all()
    assert (floor <= distortion + 1e-4).all()


# --- Classifies


def test_class_log_probabilities_are_normalized_and_those_of_each_image_alone(classifying_case: Any) -> None:
    family, images = classifying_case.new().train(), classifying_case.batch(3).images
    assert isinstance(family.has_classifier, bool)
    with inference_mode(family):
        found = twice(family.class_log_probabilities, images)
        torch.testing.assert_close(family.class_log_probabilities(images[1:2]), found[1:2], rtol=1e-4, atol=1e-4)
    assert found.shape == (3, math.prod(classifying_case.spec.label_sizes))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.exp().sum(1), torch.ones(3), rtol=1e-5, atol=1e-5)


# --- Translates


def test_translations_have_the_shape_and_range_of_images_and_depend_on_their_own_image_alone(translating_case: Any) -> None:
    family, images = translating_case.new().train(), translating_case.batch(3).images
    assert len(family.domains) == 2
    with inference_mode(family):
        for to in family.domains:
            translated = twice(lambda to=to: family.translate(images, to))
            assert_images(translated, translating_case, 3)
            torch.testing.assert_close(family.translate(images[1:2], to), translated[1:2], rtol=1e-4, atol=1e-5)


# --- all of them


def test_no_method_changes_weights_buffers_or_modes(small_case: Any) -> None:
    family = small_case.new().train()
    next(family.children()).eval()  # one module has a mode of its own
    before = {name: tensor.clone() for name, tensor in family.state_dict().items()}
    modes = [module.training for module in family.modules()]
    images = small_case.batch(3).images
    with inference_mode(family):
        for call in calls(family, images).values():
            call()
    assert [module.training for module in family.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in family.state_dict().items())


def test_every_method_takes_a_condition_and_none_is_left_untested(small_case: Any) -> None:
    wanted = {
        name
        for capability in capabilities.ALL
        if issubclass(small_case.kind, capability)
        for name, method in inspect.getmembers(capability, inspect.isfunction)
        if "condition" in inspect.signature(method).parameters
    }
    assert set(calls(small_case.new(), small_case.batch(1).images)) == wanted


@pytest.mark.parametrize("field", [item.name for item in fields(Condition)])
def test_a_field_of_a_condition_that_the_model_does_not_accept_is_refused_by_every_method(small_case: Any, field: str) -> None:
    family, images = small_case.new().eval(), small_case.batch(2).images
    values = {
        "labels": torch.zeros(2, dtype=torch.int64),
        "image": images,
        "known": images[:, :1],
        "tokens": torch.ones(2, 4).long(),
    }
    if field in family.accepts:
        pytest.skip("accepted")
    with inference_mode(family):
        for call in calls(family, images, Condition(**{field: values[field]})).values():
            with pytest.raises(UsageError, match=f"takes no {field}"):
                call()


# --- conditional models


def test_labels_change_what_a_conditional_model_generates(conditional_case: Any) -> None:
    family = conditional_case.new().eval()
    drawn = noise(0, 0, 3, family.noise_shape)
    images = {}
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(
                0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            )  # nets that end in zeros
    with inference_mode(family):
        for label in (0, 1):
            images[label] = twice(family.generate, drawn, Condition(torch.full((3,), label)))
            assert_images(images[label], conditional_case, 3)
        assert not torch.equal(images[0], images[1])
        assert_images(twice(family.generate, drawn), conditional_case, 3)


def test_every_method_of_a_conditional_model_refuses_labels_of_wrong_shape_type_and_range(conditional_case: Any) -> None:
    family, images = conditional_case.new().eval(), conditional_case.batch(3).images
    wrong = [torch.tensor(values) for values in ([0, 1], [[0], [1], [2]], [0.0, 1.0, 2.0], [0, 1, 3], [-1, 0, 1])]
    with inference_mode(family):
        for call in calls(family, images, Condition(torch.tensor([0, 1, 2]))).values():
            assert torch.isfinite(call()).all()
        for labels in wrong:
            for call in calls(family, images, Condition(labels)).values():
                with pytest.raises(UsageError, match="labels"):
                    call()


# --- all of them


def test_capabilities_are_read_from_the_class_header_and_missing_ones_are_refused_in_words(small_case: Any) -> None:
    family = small_case.new()
    stated = capabilities.of(small_case.kind)
    assert stated == tuple(sorted(stated))
    for capability in capabilities.ALL:
        if capability.__name__ in stated:
            assert capabilities.require(family, capability, "this task") is family
        else:
            with pytest.raises(NotApplicable, match=capability.phrase):
                capabilities.require(family, capability, "this task")

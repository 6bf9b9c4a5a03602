"""The rules of the monitors, each on reports with a problem and on reports without one."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from simulacra.training.monitors import TrainingHistory, TrainingWarning, training_warnings

GAME = {"beta1": 0.9, "r1": 0.0, "pack": 1, "spectral_norm": True, "augment": ""}


def history(validations: Mapping[str, list[Any]], *, every: int = 200, done: float = 1.0, **settings: Any) -> TrainingHistory:
    """Return the history of a training with these values at its validations, of which the first is of the untrained model."""
    count = len(next(iter(validations.values())))
    records = [
        {"kind": "validation", "step": every * index, "a/loss": 1.0, "b/loss": 1.0}
        | {name: row[index] for name, row in validations.items()}
        for index in range(count)
    ]
    return TrainingHistory(records, done, 64, {**GAME, **settings})


def adversarial_history(rows: list[dict[str, float]]) -> TrainingHistory:
    """Return the history of an adversarial training with these parts in its reports, one every 50 steps."""
    lines = [{"kind": "train", "step": 50 * (index + 1), **row} for index, row in enumerate(rows)]
    return TrainingHistory(lines, 1.0, 64, GAME)


def discriminator(real: float, fake: float, **parts: float) -> dict[str, float]:
    return {
        "d/loss": 1.0,
        "g/loss": 1.0,
        "d/real_accuracy": real,
        "d/fake_accuracy": fake,
        **{f"d/{k}": v for k, v in parts.items()},
    }


def only(found: tuple[TrainingWarning, ...], name: str) -> TrainingWarning:
    (warning,) = found
    assert warning.name == name
    return warning


def remedies(warning: TrainingWarning) -> str:
    return warning.message.partition(". Try ")[2].partition(" (simulacra explain")[0]


# --- mode collapse


def test_a_generator_that_loses_its_diversity_gives_a_warning_with_the_step_where_that_began() -> None:
    warning = only(training_warnings(history({"diversity": [0.1, 0.6, 0.9, 0.4, 0.3]})), "mode collapse")
    assert warning.since == 600
    assert warning.message.startswith("mode collapse since step 600: ")
    assert "by 30.0% of" in warning.message
    assert remedies(warning) == "--beta1 0.5, --r1 0.1, --pack 2, or a lower --lr"


def test_settings_that_a_model_lacks_or_already_uses_are_not_suggested() -> None:
    values = {"diversity": [0.1, 0.6, 0.9, 0.4, 0.3]}
    assert training_warnings(history(values, beta1=0.5, r1=1.0))[0].message.endswith(
        ". Try --pack 2, or a lower --lr (simulacra explain mode-collapse)"
    )
    bare = dataclasses.replace(history(values), settings={"beta1": 0.0})
    assert training_warnings(bare)[0].message.endswith(". Try a lower --lr (simulacra explain mode-collapse)")


def test_a_collapse_that_is_over_has_an_end_and_one_low_value_is_not_a_collapse() -> None:
    over = training_warnings(history({"diversity": [0.1, 0.9, 0.2, 0.2, 0.9, 1.0]}))
    assert only(over, "mode collapse").message.startswith("mode collapse from step 400 to 800: ")
    assert training_warnings(history({"diversity": [0.1, 0.9, 0.2, 0.9, 0.2, 0.9]})) == ()


def test_a_generator_that_never_becomes_diverse_gives_a_warning_in_the_second_half() -> None:
    stuck = {"diversity": [0.3, 0.04, 0.04, 0.05, 0.04, 0.04, 0.04]}
    assert only(training_warnings(history(stuck)), "mode collapse").since == 200
    assert training_warnings(history({name: row[:6] for name, row in stuck.items()}, done=0.49)) == ()
    assert training_warnings(history(stuck, every=20)) == ()  # too few steps to tell


def test_a_model_of_one_player_with_latents_has_remedies_of_its_own() -> None:
    stuck = {"diversity": [0.02, 0.04, 0.04, 0.05, 0.04, 0.04, 0.04]}
    several = history(stuck, latent_dim=128, beta=1.0)
    records = [{name: value for name, value in record.items() if name != "b/loss"} for record in several.records]
    single = dataclasses.replace(several, records=records)
    assert remedies(only(training_warnings(single), "mode collapse")) == "a smaller --latent-dim, or a longer training"
    assert "--pack 2, a lower --beta" in remedies(only(training_warnings(several), "mode collapse"))


def test_slow_growth_is_no_collapse_nor_is_a_fall_from_the_untrained_model() -> None:
    assert training_warnings(history({"diversity": [0.3, 0.05, 0.07, 0.1, 0.13, 0.17, 0.22, 0.24]})) == ()
    assert training_warnings(history({"diversity": [1.3, 0.4, 0.5, 0.6, 0.7, 0.8]})) == ()


def test_repeated_images_are_distinguished_from_few_kinds_of_images() -> None:
    found = training_warnings(history({"diversity": [0.3, 0.8, 0.8, 0.8], "distinctness": [0.3, 0.1, 0.02, 0.02]}))
    assert only(found, "repeated images").since == 200
    assert training_warnings(history({"diversity": [0.3, 0.6, 0.6, 0.6], "distinctness": [0.3, 0.2, 0.3, 0.3]})) == ()


def test_missing_modes_give_a_warning_in_the_second_half() -> None:
    found = training_warnings(history({"modes_covered": [0, 0, 3, 3, 3], "modes": [8] * 5}))
    assert only(found, "missing modes").message.startswith("missing modes since step 400: generated points reach 3 of 8 modes.")
    assert training_warnings(history({"modes_covered": [0, 0, 3, 8, 8], "modes": [8] * 5})) == ()


# --- the discriminator


def test_a_discriminator_that_is_correct_and_saturated_for_long_gives_a_warning() -> None:
    sure, fair = discriminator(1.0, 0.995, saturation=0.95), discriminator(0.9, 0.8, saturation=0.1)
    warning = only(training_warnings(adversarial_history([fair] * 5 + [sure] * 5)), "overwhelming discriminator")
    assert warning.since == 300
    assert "--spectral-norm" not in warning.message  # it is on


def test_a_discriminator_that_is_not_saturated_or_not_for_long_gives_no_warning() -> None:
    fair, right = discriminator(0.9, 0.8, saturation=0.1), discriminator(1.0, 1.0, saturation=0.3)
    sure = discriminator(1.0, 1.0, saturation=1.0)
    assert training_warnings(adversarial_history([right] * 10)) == ()
    assert training_warnings(adversarial_history([fair] * 5 + [sure] + [fair] * 5)) == ()


def test_without_saturation_the_accuracies_decide() -> None:
    assert only(training_warnings(adversarial_history([discriminator(1.0, 1.0)] * 9)), "overwhelming discriminator").since == 50
    assert training_warnings(adversarial_history([discriminator(1.0, 0.998)] * 9)) == ()


def test_every_pair_of_accuracies_is_checked() -> None:
    rows = [discriminator(0.5, 0.5) | {"d/b_real_accuracy": 1.0, "d/b_fake_accuracy": 1.0}] * 9
    assert only(training_warnings(adversarial_history(rows)), "overwhelming discriminator").since == 50


# --- models with latents, and single players


def test_inactive_latents_give_a_warning_in_the_second_half_after_a_thousand_steps() -> None:
    values = {"active_units": [0, 1, 1, 1], "latent_units": [16] * 4}
    assert only(training_warnings(history(values, every=400)), "posterior collapse").since == 400
    assert training_warnings(history(values, every=400, done=0.4)) == ()
    assert training_warnings(history(values, every=300)) == ()  # 900 steps: the EMA lags behind
    assert training_warnings(history({"active_units": [0, 1, 5, 8], "latent_units": [16] * 4}, every=400)) == ()


@pytest.mark.parametrize(("last", "count"), [(2.0, 1), (0.9, 0)])
def test_the_loss_of_a_single_player_that_ends_above_its_first_value_gives_a_warning_at_the_end(last: float, count: int) -> None:
    lines = [{"kind": "validation", "step": step, "vae/loss": loss} for step, loss in ((0, 1.0), (100, 0.5), (200, last))]
    found = training_warnings(TrainingHistory(lines, 1.0, 64, {"beta1": 0.9}))
    assert [warning.name for warning in found] == ["divergence"] * count
    assert training_warnings(TrainingHistory(lines, 0.99, 64, {"beta1": 0.9})) == ()


def test_the_first_steps_of_a_training_give_no_warning() -> None:
    values: dict[str, list[Any]] = {
        "diversity": [0.1, 0.9, 0.1, 0.1],
        "active_units": [0] * 4,
        "latent_units": [16] * 4,
        "modes_covered": [0] * 4,
    }
    assert training_warnings(history({**values, "modes": [8] * 4}, every=66)) == ()
    assert training_warnings(adversarial_history([discriminator(1.0, 1.0)] * 3)) == ()
    lines = [{"kind": "validation", "step": step, "vae/loss": loss} for step, loss in ((0, 1.0), (5, 2.0))]
    assert training_warnings(TrainingHistory(lines, 1.0, 64, {"beta1": 0.9})) == ()


def test_reports_without_these_values_and_empty_ones_give_no_warning() -> None:
    assert training_warnings(history({"other": [1.0] * 9})) == ()
    assert training_warnings(TrainingHistory([], 0.0, 64, GAME)) == ()


# --- overfitting


def autoencoder_history(validation: list[float], training: list[float], *, done: float = 1.0) -> TrainingHistory:
    """Return the history of a model with one player: losses 200 steps apart, the first of the untrained model."""
    lines: list[dict[str, Any]] = [{"kind": "validation", "step": 0, "autoencoder/loss": validation[0]}]
    for index, (held_out, trained) in enumerate(zip(validation[1:], training, strict=True), start=1):
        lines += [
            {"kind": kind, "step": 200 * index, "autoencoder/loss": loss}
            for kind, loss in (("train", trained), ("validation", held_out))
        ]
    return TrainingHistory(lines, done, 64, {"beta1": 0.9})


def test_a_validation_loss_far_above_the_training_loss_gives_a_warning_in_the_second_half() -> None:
    overfits = autoencoder_history([0.07, 0.03, 0.024, 0.024, 0.024], [0.01, 0.001, 2e-4, 7e-5])
    warning = only(training_warnings(overfits), "overfitting")
    assert warning.since == 400
    assert "the loss is 0.024 on validation images and 7e-05 on training images" in warning.message
    assert remedies(warning) == "more images, a smaller model, or --patience 3, which keeps the best weights"
    assert training_warnings(dataclasses.replace(overfits, done=0.45)) == ()


def test_a_rising_validation_loss_is_overfitting_also_with_losses_below_zero() -> None:
    rising = autoencoder_history([500.0, -900.0, -1000.0, -820.0, -700.0], [-900.0, -1010.0, -1020.0, -1030.0])
    assert only(training_warnings(rising), "overfitting").since == 600


@pytest.mark.parametrize(
    ("validation", "training"),
    [
        ([0.07, 0.02, 0.012, 0.0105, 0.0102], [0.02, 0.011, 0.0095, 0.009]),  # an ordinary gap
        ([543.0, 120.0, 105.0, 101.0, 100.0], [118.0, 102.0, 96.0, 95.0]),
        ([500.0, -900.0, -1000.0, -1010.0, -1005.0], [-900.0, -1010.0, -1030.0, -1035.0]),
        ([1.0, 0.06, 0.05, 0.05, 0.05], [0.09, 0.06, 0.055, 0.05]),  # dropout in training alone
        ([0.07, 0.03, 0.011, 0.024], [0.03, 0.01, 0.007]),  # one validation is not enough
    ],
)
def test_an_ordinary_difference_of_the_losses_is_no_overfitting(validation: list[float], training: list[float]) -> None:
    found = training_warnings(autoencoder_history(validation, training))
    assert [warning.name for warning in found if warning.name == "overfitting"] == []


def test_a_training_without_an_untrained_snapshot_has_no_divergence_and_its_first_validation_counts() -> None:
    history_without = dataclasses.replace(history({"diversity": [0.1, 0.6, 0.9, 0.4, 0.3]}))
    records = [record for record in history_without.records if record["step"] > 0]
    assert only(training_warnings(dataclasses.replace(history_without, records=records)), "mode collapse").since == 600
    lines = [{"kind": "validation", "step": step, "vae/loss": loss} for step, loss in ((100, 0.5), (200, 2.0))]
    assert training_warnings(TrainingHistory(lines, 1.0, 64, {"beta1": 0.9})) == ()

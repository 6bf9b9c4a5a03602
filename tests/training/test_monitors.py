"""The rules that tell from reports what goes wrong in a training: each with a training that is ill, and one that is not."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from simulacra.training.monitors import TrainingHistory, TrainingWarning, training_warnings

GAME = {"beta1": 0.9, "r1": 0.0, "pack": 1, "spectral_norm": True, "augment": ""}


def course(looks: Mapping[str, list[Any]], *, every: int = 200, done: float = 1.0, **settings: Any) -> TrainingHistory:
    """Return the course of a training whose looks, the untrained model's first, found these numbers."""
    count = len(next(iter(looks.values())))
    records = [
        {"kind": "validation", "step": every * index, "a/loss": 1.0, "b/loss": 1.0}
        | {name: row[index] for name, row in looks.items()}
        for index in range(count)
    ]
    return TrainingHistory(records, done, 64, {**GAME, **settings})


def duelled(rows: list[dict[str, float]]) -> TrainingHistory:
    """Return the course of a training whose reports of steps, 50 each, held these parts."""
    lines = [{"kind": "train", "step": 50 * (index + 1), **row} for index, row in enumerate(rows)]
    return TrainingHistory(lines, 1.0, 64, GAME)


def judged(real: float, fake: float, **parts: float) -> dict[str, float]:
    return {
        "d/loss": 1.0,
        "g/loss": 1.0,
        "d/real_accuracy": real,
        "d/fake_accuracy": fake,
        **{f"d/{k}": v for k, v in parts.items()},
    }


def only(found: tuple[TrainingWarning, ...], name: str) -> TrainingWarning:
    (trouble,) = found
    assert trouble.name == name
    return trouble


# --- mode collapse


def test_a_generator_that_loses_its_diversity_is_told_with_the_step_where_it_began() -> None:
    trouble = only(training_warnings(course({"diversity": [0.1, 0.6, 0.9, 0.4, 0.3]})), "mode collapse")
    assert trouble.since == 600
    assert trouble.message == (
        "mode collapse since step 600: generated images differ from each other by 30.0% of what real ones do. "
        "Try --beta1 0.5, --r1 0.1, --pack 2, or a lower --lr"
    )


def test_what_a_model_lacks_or_uses_already_is_not_offered() -> None:
    looks = {"diversity": [0.1, 0.6, 0.9, 0.4, 0.3]}
    assert training_warnings(course(looks, beta1=0.5, r1=1.0))[0].message.endswith("do. Try --pack 2, or a lower --lr")
    bare = dataclasses.replace(course(looks), settings={"beta1": 0.0})
    assert training_warnings(bare)[0].message.endswith("do. Try a lower --lr")


def test_a_collapse_that_is_over_says_when_and_one_low_look_is_none() -> None:
    over = training_warnings(course({"diversity": [0.1, 0.9, 0.2, 0.2, 0.9, 1.0]}))
    assert only(over, "mode collapse").message.startswith("mode collapse from step 400 to 800: ")
    assert training_warnings(course({"diversity": [0.1, 0.9, 0.2, 0.9, 0.2, 0.9]})) == ()


def test_a_generator_that_never_becomes_diverse_is_told_in_the_second_half() -> None:
    stuck = {"diversity": [0.3, 0.04, 0.04, 0.05, 0.04, 0.04, 0.04]}
    assert only(training_warnings(course(stuck)), "mode collapse").since == 200
    assert training_warnings(course({name: row[:6] for name, row in stuck.items()}, done=0.49)) == ()
    assert training_warnings(course(stuck, every=20)) == ()  # too few steps to tell


def test_slow_growth_is_no_collapse_nor_is_a_fall_from_the_untrained_model() -> None:
    assert training_warnings(course({"diversity": [0.3, 0.05, 0.07, 0.1, 0.13, 0.17, 0.22, 0.24]})) == ()
    assert training_warnings(course({"diversity": [1.3, 0.4, 0.5, 0.6, 0.7, 0.8]})) == ()


def test_few_images_again_and_again_are_told_from_few_kinds_of_images() -> None:
    found = training_warnings(course({"diversity": [0.3, 0.8, 0.8, 0.8], "distinctness": [0.3, 0.1, 0.02, 0.02]}))
    assert only(found, "repeated images").since == 200
    assert training_warnings(course({"diversity": [0.3, 0.6, 0.6, 0.6], "distinctness": [0.3, 0.2, 0.3, 0.3]})) == ()


def test_missing_modes_are_told_in_the_second_half_where_the_law_is_known() -> None:
    found = training_warnings(course({"modes_covered": [0, 0, 3, 3, 3], "modes": [8] * 5}))
    assert only(found, "missing modes").message.startswith("missing modes since step 400: generated points reach 3 of 8 modes.")
    assert training_warnings(course({"modes_covered": [0, 0, 3, 8, 8], "modes": [8] * 5})) == ()


# --- the discriminator


def test_a_discriminator_that_is_always_right_and_sure_for_long_is_told() -> None:
    sure, fair = judged(1.0, 0.995, saturation=0.95), judged(0.9, 0.8, saturation=0.1)
    trouble = only(training_warnings(duelled([fair] * 5 + [sure] * 5)), "overwhelming discriminator")
    assert trouble.since == 300
    assert "--spectral-norm" not in trouble.message  # it is on


def test_a_discriminator_that_is_right_but_not_sure_or_not_for_long_is_not() -> None:
    fair, right = judged(0.9, 0.8, saturation=0.1), judged(1.0, 1.0, saturation=0.3)
    sure = judged(1.0, 1.0, saturation=1.0)
    assert training_warnings(duelled([right] * 10)) == ()
    assert training_warnings(duelled([fair] * 5 + [sure] + [fair] * 5)) == ()


def test_where_saturation_has_no_meaning_the_answers_alone_decide() -> None:
    assert only(training_warnings(duelled([judged(1.0, 1.0)] * 9)), "overwhelming discriminator").since == 50
    assert training_warnings(duelled([judged(1.0, 0.998)] * 9)) == ()


def test_every_pair_of_judgements_is_looked_at() -> None:
    rows = [judged(0.5, 0.5) | {"d/b_real_accuracy": 1.0, "d/b_fake_accuracy": 1.0}] * 9
    assert only(training_warnings(duelled(rows)), "overwhelming discriminator").since == 50


# --- models with latents, and lone players


def test_idle_latents_are_told_in_the_second_half() -> None:
    looks = {"active_units": [0, 1, 1, 1], "latent_units": [16] * 4}
    assert only(training_warnings(course(looks)), "posterior collapse").since == 200
    assert training_warnings(course(looks, done=0.4)) == ()
    assert training_warnings(course({"active_units": [0, 1, 5, 8], "latent_units": [16] * 4})) == ()


@pytest.mark.parametrize(("last", "count"), [(2.0, 1), (0.9, 0)])
def test_a_lone_loss_that_ends_above_its_beginning_is_told_at_the_end(last: float, count: int) -> None:
    lines = [{"kind": "validation", "step": step, "vae/loss": loss} for step, loss in ((0, 1.0), (50, 0.5), (100, last))]
    found = training_warnings(TrainingHistory(lines, 1.0, 64, {"beta1": 0.9}))
    assert [trouble.name for trouble in found] == ["divergence"] * count
    assert training_warnings(TrainingHistory(lines, 0.99, 64, {"beta1": 0.9})) == ()


def test_reports_without_these_numbers_and_empty_ones_are_no_trouble() -> None:
    assert training_warnings(course({"other": [1.0] * 9})) == ()
    assert training_warnings(TrainingHistory([], 0.0, 64, GAME)) == ()

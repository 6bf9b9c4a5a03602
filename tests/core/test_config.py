"""Settings: exact types, closed ranges, helpful refusals, and the way to TOML and back."""

import math
from dataclasses import FrozenInstanceError, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulacra import families
from simulacra.core.config import Config, option, options
from simulacra.core.errors import UsageError
from simulacra.data.settings import settings_of
from simulacra.engine.settings import TrainConfig
from simulacra.runs.settings import RunConfig, read, resolve


@dataclass(frozen=True)
class Example(Config):
    """One setting of each kind."""

    switch: bool = option(False, "a switch")
    count: int = option(3, "a count", low=1, high=9)
    rate: float = option(0.5, "a rate", low=0)
    name: str = option("fox", "a name")
    kind: Literal["conv", "dense"] = option("conv", "a kind")
    widths: tuple[int, ...] = option((32, 64), "some widths", low=1, flag="layer-widths")


def test_defaults_are_valid_and_settings_cannot_be_changed() -> None:
    example = Example()
    with pytest.raises(FrozenInstanceError):
        example.count = 4  # type: ignore[misc]


def test_options_stand_in_the_order_of_declaration_with_kind_choices_and_flag() -> None:
    found = [(item.name, item.kind, item.flag) for item in options(Example)]
    assert found == [
        ("switch", "bool", "switch"),
        ("count", "int", "count"),
        ("rate", "float", "rate"),
        ("name", "str", "name"),
        ("kind", "str", "kind"),
        ("widths", "ints", "layer-widths"),
    ]
    assert options(Example)[4].choices == ("conv", "dense")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"switch": 1}, "switch is 1, expected true or false"),
        ({"count": True}, "count is True, expected a whole number"),
        ({"count": 3.0}, "count is 3.0, expected a whole number"),
        ({"count": 0}, r"count is 0, expected in \[1, 9\]"),
        ({"count": 10}, r"count is 10, expected in \[1, 9\]"),
        ({"rate": -0.1}, "rate is -0.1, expected at least 0"),
        ({"rate": math.nan}, "rate is nan, expected"),
        ({"rate": math.inf}, "rate is inf, expected"),
        ({"rate": True}, "rate is True, expected a number"),
        ({"rate": "fast"}, "rate is 'fast', expected a number"),
        ({"name": 7}, "name is 7, expected a text"),
        ({"kind": "desne"}, "unknown kind 'desne': did you mean 'dense'?"),
        ({"widths": 32}, "widths is 32, expected whole numbers"),
        ({"widths": (32, 0)}, "widths is 0, expected at least 1"),
        ({"widths": [32, 1.5]}, r"widths is \(32, 1.5\), expected whole numbers"),
        ({"cuont": 3}, "unknown key in settings 'cuont': did you mean 'count'?"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_got_and_expected(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Example.of(values)


def test_the_ends_of_a_range_are_in_it() -> None:
    assert (Example(count=1).count, Example(count=9).count, Example(rate=0.0).rate) == (1, 9, 0.0)


def test_a_whole_number_is_a_number_and_a_list_is_a_tuple() -> None:
    example = Example.of({"rate": 2, "widths": [8]})
    assert (example.rate, type(example.rate), example.widths) == (2.0, float, (8,))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("switch", "True", True),
        ("switch", "no", False),
        ("count", "7", 7),
        ("rate", "1e-3", 1e-3),
        ("name", "1e-3", "1e-3"),
        ("widths", "8, 16,32", (8, 16, 32)),
        ("widths", "8", (8,)),
    ],
)
def test_the_text_of_a_flag_is_read(name: str, text: str, value: object) -> None:
    (setting,) = (item for item in options(Example) if item.name == name)
    assert setting.check(setting.parse(text)) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("switch", "maybe", "--switch is 'maybe', expected true or false"),
        ("count", "3.5", "--count is '3.5', expected a whole number"),
        ("rate", "fast", "--rate is 'fast', expected a number"),
        ("widths", "8;16", "--layer-widths is '8;16', expected whole numbers"),
    ],
)
def test_a_flag_that_cannot_be_read_is_refused_by_its_own_name(name: str, text: str, message: str) -> None:
    (setting,) = (item for item in options(Example) if item.name == name)
    with pytest.raises(UsageError, match=message):
        setting.parse(text)


@given(
    st.builds(
        Example,
        switch=st.booleans(),
        count=st.integers(1, 9),
        rate=st.floats(0, allow_infinity=False),
        name=st.text(st.characters(codec="utf-8")),
        kind=st.sampled_from(["conv", "dense"]),
        widths=st.lists(st.integers(1, 4096)).map(tuple),
    )
)
def test_a_table_builds_the_same_settings_again(example: Example) -> None:
    assert Example.of(example.table()) == example


def test_a_setting_without_default_or_of_another_type_is_a_mistake_of_the_programmer() -> None:
    @dataclass(frozen=True)
    class Wrong(Config):
        values: list[int] = option((), "a list")  # noqa: RUF009

    with pytest.raises(TypeError, match="cannot be of type"):
        options(Wrong)


def changed(kind: type[Config]) -> Config:
    """Return settings with every number changed, as far as their ranges and `validate` allow."""
    values: dict[str, object] = {}
    for item in options(kind):
        if item.kind == "int" and isinstance(item.default, int) and (item.high is None or item.default < item.high):
            values[item.name] = item.default + 1
        if item.kind == "ints":
            values[item.name] = (3, 5, 7)
    return kind.of(values)


@pytest.mark.parametrize("name", families.names())
def test_the_settings_of_a_run_survive_their_toml_file(name: str, tmp_path: Path) -> None:
    family = families.find(name)
    for number, model in enumerate((family.Config(), changed(family.Config), *map(family.Config.of, family.presets.values()))):
        data = settings_of(family.domains).of({"validation": 0.1})
        config = RunConfig(name, data, model, TrainConfig(lr=3e-3, duration="2min", seed=7))
        config.write(tmp_path / f"{number}.toml")
        assert read(tmp_path / f"{number}.toml") == config


def test_overrides_win_over_the_recipe_which_wins_over_the_preset() -> None:
    recipe = {"family": "vae", "preset": "dense", "model": {"latent_dim": 5, "beta": 2.0}, "train": {"lr": 0.01}}
    config = resolve(recipe, {"latent_dim": 6, "batch": 32})
    assert config.model.table() | {"network": "dense", "hidden": [400], "latent_dim": 6, "beta": 2.0} == config.model.table()
    assert (config.train.lr, config.train.batch) == (0.01, 32)


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ({"family": "vea"}, {}, "unknown family 'vea': did you mean 'vae'?"),
        ({"family": "vae", "preset": "desne"}, {}, "unknown preset of vae 'desne': did you mean 'dense'?"),
        ({"family": "vae", "modle": {}}, {}, "unknown key in the recipe 'modle': did you mean 'model'?"),
        (
            {"family": "vae", "model": {"latent": 3}},
            {},
            r"key in \[model\] of the recipe 'latent': did you mean 'latent_dim'?",
        ),
        ({"family": "vae", "train": {"lr": "fast"}}, {}, "lr is 'fast', expected a number"),
        ({"family": "vae", "train": 3}, {}, r"train in the recipe is not a table: write \[train\]"),
        ({}, {}, "the recipe names no family"),
        ({"family": "vae"}, {"latent_din": 3}, "unknown setting 'latent_din': did you mean 'latent_dim'?"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_nearest_name(
    recipe: dict[str, Any], overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(recipe, overrides)


def test_training_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="batch is 10, which accumulate = 3 does not divide"):
        TrainConfig(batch=10, accumulate=3)
    with pytest.raises(UsageError, match="decays and must be below 1"):
        TrainConfig(ema=1.0)
    with pytest.raises(UsageError, match="duration is 'forever'"):
        TrainConfig(checkpoint_every="forever")

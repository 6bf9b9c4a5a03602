"""The class attributes of a family: all that the command line, the documentation and a recipe need."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from simulacra import families
from simulacra.core.batch import DataSpec
from simulacra.core.config import Config, options
from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.data.settings import DataConfig
from simulacra.engine.settings import TrainConfig
from simulacra.runs.settings import RunConfig, read, resolve


def test_a_family_is_found_by_its_file_and_is_the_only_one_in_it(family_case: Any) -> None:
    assert families.find(family_case.name) is family_case.kind
    assert family_case.kind.__module__ == f"simulacra.families.{family_case.name}"
    assert issubclass(family_case.kind, Family)
    assert not inspect.isabstract(family_case.kind)


def test_a_misspelt_family_is_refused_with_the_nearest_name(family_case: Any) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{family_case.name}'"):
        families.find(family_case.name + "x")


def test_a_family_has_a_docstring_a_one_line_summary_and_a_paper_with_its_year(family_case: Any) -> None:
    kind = family_case.kind
    assert inspect.getdoc(kind) != inspect.getdoc(Family)
    assert 10 < len(kind.summary) < 100
    assert "\n" not in kind.summary
    assert any(word.strip(";,()").isdigit() and len(word.strip(";,()")) == 4 for word in kind.paper.split())


def test_every_setting_has_help_and_a_default_that_its_own_range_allows(family_case: Any) -> None:
    assert issubclass(family_case.kind.Config, Config)
    family_case.kind.Config()
    for setting in options(family_case.kind.Config):
        assert len(setting.help) > 5, setting.name
        assert setting.help[-1] != ".", setting.name
        assert setting.check(setting.default) == setting.default


def test_settings_share_no_name_with_those_of_the_data_and_the_training(family_case: Any) -> None:
    # overrides are found by the setting's name alone
    taken = {setting.name for kind in (DataConfig, TrainConfig) for setting in options(kind)}
    assert not taken & {setting.name for setting in options(family_case.kind.Config)}
    flags = [setting.flag for kind in (DataConfig, TrainConfig, family_case.kind.Config) for setting in options(kind)]
    assert len(flags) == len(set(flags))


def test_training_defaults_are_settings_of_the_engine(family_case: Any) -> None:
    defaults = family_case.kind.defaults
    settings = TrainConfig.of(defaults)
    assert {name: getattr(settings, name) for name in defaults} == dict(defaults)


def test_the_family_keeps_the_settings_that_it_was_made_from(small_case: Any) -> None:
    assert small_case.new().config == small_case.config


def test_presets_change_settings_and_survive_a_recipe_file(family_case: Any, tmp_path: Path) -> None:
    assert family_case.kind.presets
    for preset in family_case.kind.presets:
        config = resolve({"family": family_case.name, "preset": preset}, {})
        assert isinstance(config, RunConfig)
        config.write(tmp_path / "config.toml")
        assert read(tmp_path / "config.toml") == config


@pytest.mark.long
def test_presets_build_on_images_without_classes_or_refuse_them_in_words(family_case: Any) -> None:
    for values in family_case.kind.presets.values():
        if family_case.kind.needs_labels:
            with pytest.raises(UsageError, match="these have no classes"):
                family_case.kind(family_case.kind.Config.of(values), DataSpec(1, 28, 28))
        spec = DataSpec(1, 28, 28, ("cat", "dog") if family_case.kind.needs_labels else ())
        with torch.device("meta"):
            family = family_case.kind(family_case.kind.Config.of(values), spec)
        assert sum(parameter.numel() for parameter in family.parameters()) > 0

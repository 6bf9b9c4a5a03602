"""Choice of settings for images of one's own: those that are not given follow the images, their number and the device.

The data sets of Simulacra, recipes and the settings of earlier runs are not affected. What is chosen is printed, and is written
into `config.toml` like any other setting.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from simulacra.core.config import Config, options
from simulacra.core.errors import UsageError
from simulacra.core.progress import Progress
from simulacra.core.training_facts import TrainingFacts
from simulacra.data.dataset import Dataset
from simulacra.data.settings import DataConfig, DomainsConfig
from simulacra.data.sources import is_own
from simulacra.engine.hardware import device_of
from simulacra.runs.settings import RunConfig, groups
from simulacra.training.photographs import are_black_and_white, are_photographs

DURATION = "10min"
LARGEST = 128  # pixels: larger images are resized unless a size is given
_FEW = 10_000  # photographs from which flips are left out: they hardly add to so many
_SLOW = 3 * 24 * 24  # values of an image from which small batches are chosen on CPUs, where time allows few steps
_CPU_BATCH, _LEAST_BATCH = 32, 8
_BATCHES = 16  # least number of batches in an epoch, as far as the least batch allows


def may_choose(config: RunConfig, dataset: Dataset | None = None) -> bool:
    """Return whether settings are chosen: none of a recipe, and only for images of one's own, in files or as `dataset`."""
    return config.given is not None and all(map(is_own, _names(config.data, dataset)))


def choose(config: RunConfig, data: Dataset, progress: Progress) -> RunConfig:
    """Return the settings with choices for those that are not given, and print them.

    A choice that contradicts a given setting is left out.
    """
    assert config.given is not None, "settings of a recipe are final"
    facts = facts_of(data, gpu=device_of(config.train.device).type == "cuda")
    wanted = dict(config.family_class.settings_for(facts))
    preset = str(wanted.pop("preset", ""))
    architecture = {} if "preset" in config.given else config.family_class.presets.get(preset, {})
    chosen = {**architecture, **wanted, **_general(config, facts)}
    before, tables = config, {setting.name: table for table, kind in _kinds(config).items() for setting in options(kind)}
    for name, value in chosen.items():
        if name in tables and name not in config.given:
            config = _with(config, tables[name], name, value)
    shown = _shown(before, config, preset if architecture else "", architecture)
    if shown:
        flips = ", --no-flip if left and right differ, as in text" if "--flip" in shown else ""
        progress.message(f"chosen for {_subject(facts)}: {' '.join(shown)}")
        progress.message(f"the same flags with other values take precedence{flips}; config.toml of the run has all settings")
    return config


def facts_of(data: Dataset, *, gpu: bool) -> TrainingFacts:
    """Return the facts of a data set; images of several domains are photographs if those of all domains are."""
    parts = [*data.domains.values()] or [data]
    return TrainingFacts(
        data.spec,
        min(part.training_images for part in parts),
        all(are_photographs(part.train.images) for part in parts),
        all(are_black_and_white(part.train.images) for part in parts),
        gpu,
    )


def _general(config: RunConfig, facts: TrainingFacts) -> dict[str, object]:
    """Return the choices that do not depend on the family: duration, batch size and flips."""
    batch = config.train.batch if facts.gpu or facts.spec.dimensions < _SLOW else min(config.train.batch, _CPU_BATCH)
    few = max(_LEAST_BATCH, facts.images // _BATCHES)
    batch = min(batch, 2 ** (few.bit_length() - 1), max(1, facts.images))
    flips: dict[str, object] = {"flip": True} if facts.photographs and facts.images < _FEW else {}
    return {"batch": batch, **flips, "duration": DURATION}


def _with(config: RunConfig, table: str, name: str, value: object) -> RunConfig:
    part: Config = getattr(config, table)
    try:
        changed = type(part).of({**vars(part), name: value})
    except UsageError:
        return config
    part_of: dict[str, Any] = {table: changed}
    return replace(config, **part_of)


def _kinds(config: RunConfig) -> Mapping[str, type[Config]]:
    return groups(config.family_class)


def _shown(before: RunConfig, after: RunConfig, preset: str, architecture: Mapping[str, object]) -> list[str]:
    """Return each setting that was chosen as the flag that sets it; the settings of a preset as its name."""
    old, new, shown = before.flat(), after.flat(), [f"--preset {preset}"] if preset else []
    for table, kind in _kinds(after).items():
        for setting in options(kind):
            value = new[f"{table}.{setting.name}"]
            of_preset = setting.name in architecture and _plain(architecture[setting.name]) == value
            if value != old[f"{table}.{setting.name}"] and not of_preset:
                shown.append(_flag(setting.flag, value))
    return shown


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _flag(flag: str, value: object) -> str:
    if isinstance(value, bool):
        return f"--{'' if value else 'no-'}{flag}"
    return f"--{flag} {','.join(map(str, value)) if isinstance(value, list) else value}"


def _subject(facts: TrainingFacts) -> str:
    kind = "photographs" if facts.photographs else "images"
    return f"{facts.images:,} {kind} of {facts.spec.width}x{facts.spec.height} on {'a GPU' if facts.gpu else 'CPUs'}"


def _names(config: DataConfig | DomainsConfig, dataset: Dataset | None) -> list[str]:
    if dataset is not None:
        return [own.name for own in dataset.domains.values()] or [dataset.name]
    return [config.data] if isinstance(config, DataConfig) else list(config.named.values())

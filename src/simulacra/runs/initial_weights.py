"""The weights with which a training begins, where they are those of another run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulacra.core.errors import UsageError
from simulacra.core.family import Family
from simulacra.runs.run import Run

_SOURCES = frozenset({"data", "path", "a", "b"})  # settings that choose the data
_NAMED = 3  # of the weights that do not fit, in an error


def settings_of_run(recipe: Mapping[str, Any], path: Path, given: Mapping[str, object]) -> dict[str, Any]:
    """Return a recipe, completed with the data and the model of a run of the same family; what the recipe gives has precedence.

    given: settings that will override those of the recipe. Other data get the size and the channels of the run's images. Raises
    UsageError for another family, and for a preset, which would be another architecture.
    """
    run = Run.open(path)
    config, preset = run.config, given.get("preset") or recipe.get("preset")
    if recipe.get("family", config.family) != config.family:
        raise UsageError(f"{path} is a run of family {config.family!r}, and cannot be the start of {recipe['family']!r}")
    if preset:
        raise UsageError(f"preset is {preset!r}, and the networks are those of {path}: leave the preset out")
    tables = {"data": config.data.table(), "model": config.model.table()}
    if _SOURCES.intersection([*given, *recipe.get("data", {})]):
        tables["data"] |= {"size": f"{run.spec.height}x{run.spec.width}", "channels": run.spec.channels}
    merged = {table: {**own, **recipe.get(table, {})} for table, own in tables.items()}
    return {**recipe, "family": config.family, **merged}


def load_weights(family: Family, path: Path) -> dict[str, Any]:
    """Copy the evaluated weights of a run into an untrained family; return path, step and run as facts of the provenance.

    Weights that the run does not have keep their initial values, since a setting may add a part. Raises UsageError where a weight
    of the run has no place or another shape, DamagedCheckpoint.
    """
    run = Run.open(path)
    trained, step, _ = run.load_family()
    weights, own = trained.state_dict(), family.state_dict()
    unfit = [name for name, value in weights.items() if name not in own or own[name].shape != value.shape]
    if unfit:
        spec = run.spec
        named = ", ".join(unfit[:_NAMED]) + (" and others" if len(unfit) > _NAMED else "")
        raise UsageError(
            f"the weights of {path} do not fit this model ({named}): use the settings of that run, and images of its size, "
            f"{spec.height}x{spec.width} with {spec.channels} channels"
        )
    family.load_state_dict(weights, strict=False)
    return {"from": {"run": str(path), "id": run.provenance.get("id"), "step": step}}

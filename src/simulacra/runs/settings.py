"""All settings of one run: the family, its data, its model and its training; as TOML, and from a recipe with overrides."""

import hashlib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import tomli_w

from simulacra import families
from simulacra.core.batch import DataSpec
from simulacra.core.config import Config, options
from simulacra.core.errors import UsageError, unknown
from simulacra.core.family import Family, FamilyFactory
from simulacra.core.files import write_text
from simulacra.data.settings import DataConfig, DomainsConfig, settings_of
from simulacra.engine.settings import TrainConfig

_TABLES = ("data", "model", "train")
_SEAL = "# remove this line to change settings by hand; SHA-256 of those below: "


@dataclass(frozen=True)
class RunConfig:
    """The resolved settings of a run: the name of its family, its data, its model and its training.

    given: names of the settings that were given, if the others may be chosen by the data; None if all are final, as in a recipe.
    """

    family: str
    data: DataConfig | DomainsConfig
    model: Config
    train: TrainConfig
    given: frozenset[str] | None = field(default=None, compare=False)

    @cached_property
    def family_class(self) -> type[Family]:
        """The class of the family."""
        return families.find(self.family)

    def new_family(self, spec: DataSpec) -> Family:
        """Return the family with initial weights, drawn from torch's global generator."""
        return cast(FamilyFactory, self.family_class)(self.model, spec)

    def write(self, path: Path) -> None:
        """Write as TOML, every value included, below a line with their digest; raises Unwritable."""
        text = tomli_w.dumps({"family": self.family, **self._tables()})
        write_text(path, f"{_SEAL}{_digest(text)}\n{text}")

    def flat(self) -> dict[str, object]:
        """Return every setting by its full name, such as `train.batch`."""
        values = {f"{table}.{name}": value for table, own in self._tables().items() for name, value in own.items()}
        return {"family": self.family} | values

    def _tables(self) -> dict[str, dict[str, Any]]:
        return {"data": self.data.table(), "model": self.model.table(), "train": self.train.table()}


def groups(family: type[Family]) -> dict[str, type[Config]]:
    """Return the classes of settings of a family's run, by TOML table."""
    return {"data": settings_of(family.domains), "model": family.Config, "train": TrainConfig}


def require_sources(name: str, domains: Collection[str], given: Collection[str]) -> None:
    """Raise UsageError where settings give one source to a family with two domains, or two sources to any other.

    name, domains: those of the family; given: names of settings.
    """
    flags = {setting.name: setting.flag for kind in (DataConfig, DomainsConfig) for setting in options(kind)}
    own = {setting.name for setting in options(settings_of(tuple(domains)))}
    if wrong := sorted((flags.keys() - own).intersection(given)):
        wanted = (
            "two sources: give --data.a and --data.b, or a folder that has both as --data"
            if domains
            else "one source: give --data"
        )
        raise UsageError(f"{name} trains on {wanted}, not --{flags[wrong[0]]}")


def read(path: Path) -> RunConfig:
    """Read what `RunConfig.write` wrote; raises UsageError where it is damaged."""
    recipe = read_recipe(path)
    first, _, text = path.read_text(errors="surrogateescape").partition("\n")
    if first.startswith(_SEAL) and first.removeprefix(_SEAL) != _digest(text):
        remedy = "restore it, or remove its first line to accept the changes"
        raise UsageError(f"{path} differs from what was written (SHA-256): {remedy}")
    return resolve(recipe, {}, where=str(path))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def read_recipe(path: Path) -> dict[str, Any]:
    """Return a recipe's tables; raises UsageError where it is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(errors="surrogateescape"))  # names of files that are not UTF-8
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the recipe {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def resolve(recipe: Mapping[str, Any], overrides: Mapping[str, object], where: str = "the recipe") -> RunConfig:
    """Return the settings that a recipe and overrides by setting name (or `preset`) resolve to.

    In order of precedence, the last wins: class defaults, the family's defaults, the preset, the recipe, the overrides. If
    the recipe is a family only, settings that are not given may be chosen by the data (`training/chosen_settings.py`).
    """
    _check_shape(recipe, where)
    name = recipe["family"]
    family = families.find(name)
    preset = overrides.get("preset") or recipe.get("preset") or ""
    if preset and preset not in family.presets:
        raise unknown(f"preset of {name}", str(preset), family.presets)
    own: dict[str, Mapping[str, object]] = {"model": family.presets.get(str(preset), {}), "train": family.defaults}
    values = {table: {**own.get(table, {}), **recipe.get(table, {})} for table in _TABLES}
    require_sources(name, family.domains, {*values["data"], *overrides})
    tables = {setting.name: table for table, kind in groups(family).items() for setting in options(kind)}
    for key, value in overrides.items():
        if key not in {"preset", *tables}:
            raise unknown("setting", key, list(tables))
        if key != "preset":
            values[tables[key]][key] = value
    data = settings_of(family.domains).of(values["data"], f"[data] of {where}")
    model = family.Config.of(values["model"], f"[model] of {where}")
    given = frozenset([*overrides, *own["model"]]) if set(recipe) == {"family"} else None
    return RunConfig(name, data, model, TrainConfig.of(values["train"], f"[train] of {where}"), given)


def _check_shape(recipe: Mapping[str, Any], where: str) -> None:
    for key in recipe:
        if key not in ("family", "preset", *_TABLES):
            raise unknown(f"key in {where}", key, ("family", "preset", *_TABLES))
    if not isinstance(recipe.get("family"), str):
        raise UsageError(f"{where} names no family: it needs a line such as family = 'vae'")
    for table in _TABLES:
        if not isinstance(recipe.get(table, {}), dict):
            raise UsageError(f"{table} in {where} is not a table: write [{table}]")

"""The pages of the Python API: which modules and names they describe; autodoc writes their content from the docstrings."""

import inspect
import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from generated_pages import write_pages
from navigation import toctree
from sphinx.application import Sphinx

import simulacra

_INDEX = "reference/api"


@dataclass(frozen=True)
class Page:
    """One page. modules: described whole; packages: each of their modules; names: single names, by title of their section."""

    title: str
    summary: str
    modules: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()


_FUNCTIONS = (
    ("Training", ("train", "resume", "untrained")),
    ("Trained models", ("open", "compare", "status", "image_grid", "train_extractor")),
    ("Notebooks", ("line_plot", "explain", "quiz")),
    ("Families", ("list_families", "load_family")),
    ("Data", ("load_data", "list_data", "check_data", "from_array", "unpaired", "pack_data")),
)
_CLASSES = (
    ("Model", ("Model",)),
    ("Result", ("Result",)),
    ("Plots", ("Plots",)),
)
PAGES = {
    "functions": Page("Functions", "the functions of `simulacra`: train, open, compare, load data", names=_FUNCTIONS),
    "model": Page("Models and results", "a trained model and its methods; results of commands", names=_CLASSES),
    "data": Page("Data sets", "data sets, splits, batches, conditions", ("data.dataset", "core.batch", "core.condition")),
    "family": Page("Families", "base class of families, settings", ("core.family", "core.config", "core.training_facts")),
    "capabilities": Page("Capabilities", "what models can do: interfaces that families implement", ("core.capabilities",)),
    "games": Page("Base classes of families", "adversarial, variational and denoising models", packages=("games",)),
    "objectives": Page("Objectives", "losses, likelihoods, divergences, penalties", packages=("objectives",)),
    "diffusion": Page("Diffusion", "noise schedules, samplers, bounds", packages=("diffusion",)),
    "networks": Page("Networks", "building blocks for images of any size", packages=("networks",)),
    "degradations": Page("Degradations", "named operators that degrade images", packages=("degradations",)),
    "plug-ins": Page(
        "Plug-ins",
        "metrics, applications, data sources and report sections of your own",
        ("metrics.metric", "metrics.context", "applications.application", "data.source", "images.section"),
    ),
    "randomness": Page(
        "Randomness, errors, progress", "random streams, errors, progress", ("core.randomness", "core.errors", "core.progress")
    ),
}


def names() -> set[str]:
    """Return the names of `simulacra` that a page describes."""
    return {name for page in PAGES.values() for _, listed in page.names for name in listed}


def _page(page: Page) -> str:
    """Return the source of a page."""
    parts = [f"# {page.title}\n\n{page.summary[0].upper()}{page.summary[1:]}.\n"]
    parts += [_section(title, [_directive(name) for name in listed]) for title, listed in page.names]
    modules = [*page.modules, *(f"{package}.{name}" for package in page.packages for name in _modules(package))]
    parts += [_section(f"`simulacra.{module}`", [f".. automodule:: simulacra.{module}"]) for module in modules]
    return "\n".join(parts)


def _modules(package: str) -> list[str]:
    found = import_module(f"simulacra.{package}")
    return [module.name for module in pkgutil.iter_modules(found.__path__) if not module.ispkg]


def _section(title: str, directives: list[str]) -> str:
    return f"## {title}\n\n```{{eval-rst}}\n" + "\n\n".join(directives) + "\n```\n"


def _directive(name: str) -> str:
    kind = "class" if inspect.isclass(getattr(simulacra, name)) else "function"
    return f".. auto{kind}:: simulacra.{name}" + ("\n   :inherited-members:" if name == "Model" else "")


def _write(app: Sphinx) -> None:
    write_pages(app.srcdir / _INDEX, {f"{name}.md": _page(page) for name, page in PAGES.items()})


def _read(_app: Sphinx, docname: str, source: list[str]) -> None:
    if docname == _INDEX:
        rows = [f"| [{page.title}](api/{name}.md) | {page.summary} |" for name, page in PAGES.items()]
        tree = toctree([f"{page.title} <api/{name}>" for name, page in PAGES.items()])
        source[0] += "\n\n| page | content |\n|---|---|\n" + "\n".join(rows) + tree


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages."""
    app.connect("builder-inited", _write)
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

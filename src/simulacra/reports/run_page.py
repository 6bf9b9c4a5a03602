"""One page on one run: pictures, curves, numbers, settings, in a single HTML file that needs nothing else.

Here the facts are gathered; the words and the looks are in `report.html.jinja`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulacra.core.capabilities import LatentSpace, Samples
from simulacra.core.config import options
from simulacra.core.family import Family
from simulacra.core.files import write_text
from simulacra.core.progress import Progress
from simulacra.evaluation.metric_table import newest
from simulacra.images.animation import film
from simulacra.reports.curves import plots
from simulacra.reports.evaluation_images import exhibition
from simulacra.reports.page import page
from simulacra.reports.report_images import gallery
from simulacra.runs.run import Run
from simulacra.runs.settings import groups
from simulacra.training.watch import run_status

if TYPE_CHECKING:
    from simulacra.runs.opened import OpenedRun


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    name: str
    value: str
    note: str = ""
    marked: bool = False


def report(trained: "OpenedRun", progress: Progress) -> Path:
    """Write `RUN/report.html` and return its path. What a section lacks, the data or an evaluation, it says itself."""
    drawn, evaluation = gallery(trained, progress), newest(trained.run)
    content = {**_facts(trained), **_tables(trained.run), "parts": drawn.pictures, "problem": drawn.problem}
    content |= {"evaluation": evaluation, "current": evaluation is not None and evaluation.checkpoint == trained.step}
    if isinstance(trained.model, Samples):
        content["exhibits"] = exhibition(trained, evaluation, drawn.problem)
        content["animation"] = film(trained.run)
    path = trained.run.path / "report.html"
    write_text(path, page("report.html.jinja", content))
    return path


# --- facts


def _facts(trained: "OpenedRun") -> dict[str, Any]:
    """Return what the page says of the run as a whole."""
    run, model = trained.run, trained.model
    records = run.reports.read()
    return {
        "run": str(run.path),
        "family": run.config.family,
        "summary": model.summary,
        "paper": model.paper,
        "can": trained.capabilities,
        "prior": _prior(model),
        "players": len(model.players()),
        "domains": model.domains,
        "data": run.provenance["data"],
        "step": trained.step,
        "finished": run.provenance.get("finished"),
        "averaged": run.config.train.ema > 0,
        "facts": _key_facts(trained, [record for record in records if record.get("kind") == "train"]),
        "plots": plots(records),
        "training_warnings": run_status(run).training_warnings,
    }


def _prior(model: Family) -> str:
    """Return what latents between images follow: the arc is for Gaussian ones."""
    return model.prior if isinstance(model, LatentSpace) else "none"


def _key_facts(trained: "OpenedRun", records: Sequence[dict[str, Any]]) -> list[Row]:
    provenance, spec = trained.run.provenance, trained.spec
    last = records[-1] if records else {}
    seconds = provenance.get("training_seconds", last.get("seconds"))
    hardware = provenance.get("hardware", {})
    colours = {1: "grey", 3: "colour"}.get(spec.channels, f"{spec.channels} channels")
    parameters = sum(parameter.numel() for parameter in trained.model.parameters())
    rows = [
        Row("parameters", f"{parameters:,}"),
        Row("steps", f"{trained.step:,}", f"{last['epochs']:,.1f} epochs" if "epochs" in last else ""),
        Row("training time", duration(seconds) if seconds is not None else "", _speed(last)),
        Row("images", f"{spec.height} \u00d7 {spec.width}", colours),
        Row("hardware", str(hardware.get("gpu") or hardware.get("processor", "")), _threads(hardware)),
    ]
    return [row for row in rows if row.value]


def _threads(hardware: dict[str, Any]) -> str:
    return f"CPU threads: {hardware['threads']}" if "threads" in hardware else ""


def _speed(record: dict[str, Any]) -> str:
    return f"{record['images_per_second']:,.0f} images/s" if "images_per_second" in record else ""


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(9.34), duration(75), duration(3720)
    ('9.3 s', '1 min 15 s', '1 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


# --- tables


def _tables(run: Run) -> dict[str, Any]:
    return {"settings": _settings(run), "provenance": _provenance(run.provenance)}


def _settings(run: Run) -> dict[str, list[Row]]:
    """Return every setting by table of config.toml: value, meaning, and whether it differs from the default."""
    config, kinds = run.config, groups(run.config.family)
    tables = {"data": config.data, "model": config.model, "train": config.train}
    return {
        table: [
            Row(setting.name, _text(value := getattr(tables[table], setting.name)), setting.help, value != setting.default)
            for setting in options(kinds[table])
        ]
        for table in tables
    }


def _provenance(provenance: dict[str, Any]) -> dict[str, list[Row]]:
    """Return the provenance as tables: its groups, and before them what stands alone."""
    alone = [Row(name, _text(value)) for name, value in provenance.items() if not isinstance(value, dict)]
    nested = {name: value for name, value in provenance.items() if isinstance(value, dict)}
    nested |= {f"domain {name}": facts for name, facts in nested["data"].get("domains", {}).items()}
    return {"run": alone} | {name: _plain(group) for name, group in nested.items()}


def _plain(group: dict[str, Any]) -> list[Row]:
    return [Row(key, _text(value)) for key, value in group.items() if not isinstance(value, dict)]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        rest = f" and {len(value) - 20:,} more" if len(value) > 20 else ""
        return ", ".join(map(str, value[:20])) + rest or "none"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)

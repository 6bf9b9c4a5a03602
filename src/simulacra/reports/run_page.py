"""The report of a run, one HTML file: facts and sections; the template `report.html.jinja` holds the texts and the layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulacra import applications
from simulacra.core.capabilities import Samples, supports
from simulacra.core.config import options
from simulacra.core.errors import SimulacraError
from simulacra.core.files import write_text
from simulacra.core.progress import SILENT, Progress
from simulacra.evaluation.metric_table import newest
from simulacra.evaluation.sections import evaluation_sections
from simulacra.images.animation import write_animation
from simulacra.images.section import ReportSection
from simulacra.reports.curves import plots
from simulacra.reports.page import page
from simulacra.reports.snapshots import snapshots
from simulacra.runs.opened import OpenedRun
from simulacra.runs.run import Run
from simulacra.runs.settings import groups
from simulacra.runs.test_images import overview_images
from simulacra.training.watch import run_status


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    name: str
    value: str
    note: str = ""
    marked: bool = False


_LAST = 800  # order of sections whose images cannot be drawn
_OWN = {"Metrics": 20, "Curves": 30, "Training progress": 40, "Settings": 900, "Provenance": 910}
"""Parts of the page that the template renders by their anchors, with their order among the sections."""


def write_report(opened: OpenedRun, progress: Progress = SILENT) -> Path:
    """Write `RUN/report.html` and return its path. Sections whose data or evaluation is missing state it."""
    evaluation = newest(opened.run)
    problem = missing = ""
    try:
        overview_images(opened, 1)
    except SimulacraError as error:
        problem, missing = str(error), "the data cannot be used, for the reason at the top of the page"
    sections = [*_application_sections(opened, missing, progress), *evaluation_sections(opened, evaluation, missing)]
    progress_images = snapshots(opened)
    sections += [ReportSection(*item) for item in _OWN.items() if progress_images or item[0] != "Training progress"]
    content = {
        **_facts(opened),
        "sections": sorted(sections, key=lambda section: section.order),
        "problem": problem,
        "evaluation": evaluation,
        "current": evaluation is not None and evaluation.checkpoint == opened.step,
        "snapshots": progress_images,
        "animation": write_animation(opened.run) if supports(opened.model, Samples) else None,
    }
    write_text(opened.run.report, page("report.html.jinja", content))
    return opened.run.report


def _application_sections(opened: OpenedRun, missing: str, progress: Progress) -> list[ReportSection]:
    """Return the sections of all applications that apply to the model; those that cannot be drawn state the problem."""
    found: list[ReportSection | None] = []
    usable = [item for item in map(applications.find, applications.names()) if item.section and item.applies_to(opened.model)]
    with progress.task("drawing the report", len(usable), "sections") as meter:
        for application in usable:
            try:
                found.append(application.section(opened) if application.section else None)
            except SimulacraError as error:
                reason = f"Not available: {missing or error}."
                found.append(ReportSection(application.name.capitalize(), _LAST, missing=reason))
            meter.advance()
    return [section for section in found if section]


def _facts(opened: OpenedRun) -> dict[str, Any]:
    """Return the facts of the run as a whole."""
    run, model = opened.run, opened.model
    records = run.reports.read()
    return {
        "run": str(run.path),
        "family": run.config.family,
        "summary": model.summary,
        "paper": model.paper,
        "players": len(model.players()),
        "data": run.provenance["data"],
        "step": opened.step,
        "finished": run.provenance.get("finished"),
        "averaged": run.config.train.ema > 0,
        "facts": _key_facts(opened, [record for record in records if record.get("kind") == "train"]),
        "plots": plots(records),
        "training_warnings": run_status(run).training_warnings,
        "settings": _settings(run),
        "provenance": _provenance(run.provenance),
    }


def _key_facts(opened: OpenedRun, records: Sequence[dict[str, Any]]) -> list[Row]:
    provenance, spec = opened.run.provenance, opened.spec
    last = records[-1] if records else {}
    seconds = provenance.get("training_seconds", last.get("seconds"))
    hardware = provenance.get("hardware", {})
    colours = {1: "grey", 3: "colour"}.get(spec.channels, f"{spec.channels} channels")
    parameters = sum(parameter.numel() for parameter in opened.model.parameters())
    threads = f"CPU threads: {hardware['threads']}" if "threads" in hardware else ""
    speed = f"{last['images_per_second']:,.0f} images/s" if "images_per_second" in last else ""
    rows = [
        Row("parameters", f"{parameters:,}"),
        Row("steps", f"{opened.step:,}", f"{last['epochs']:,.1f} epochs" if "epochs" in last else ""),
        Row("training time", duration(seconds) if seconds is not None else "", speed),
        Row("images", f"{spec.height} \u00d7 {spec.width}", colours),
        Row("hardware", str(hardware.get("gpu") or hardware.get("processor", "")), threads),
    ]
    return [row for row in rows if row.value]


def duration(seconds: float) -> str:
    """Return a duration as text.

    >>> duration(9.34), duration(75), duration(3720)
    ('9.3 s', '1 min 15 s', '1 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _settings(run: Run) -> dict[str, list[Row]]:
    """Return every setting by table of config.toml: value, meaning, and whether it differs from the default."""
    config, kinds = run.config, groups(run.config.family_class)
    tables = {"data": config.data, "model": config.model, "train": config.train}
    return {
        table: [
            Row(setting.name, _text(value := getattr(tables[table], setting.name)), setting.help, value != setting.default)
            for setting in options(kinds[table])
        ]
        for table in tables
    }


def _provenance(provenance: dict[str, Any]) -> dict[str, list[Row]]:
    """Return the provenance as tables: single values first, then its groups."""
    nested = {"run": provenance} | {name: value for name, value in provenance.items() if isinstance(value, dict)}
    names = nested["data"].get("domain_names", {})
    nested |= {f"domain {names.get(name, name)}": facts for name, facts in nested["data"].get("domains", {}).items()}
    return {
        name: [Row(key, _text(value)) for key, value in group.items() if not isinstance(value, dict)]
        for name, group in nested.items()
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        rest = f" and {len(value) - 20:,} more" if len(value) > 20 else ""
        return ", ".join(map(str, value[:20])) + rest or "none"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)

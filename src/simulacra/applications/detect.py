"""Detect anomalies: images unlike those that a model was trained on.

`calibrate` determines the threshold of a score from held-out normal images, `score` applies it to images of your own, and
`evaluate` measures it against anomalies, beside baselines that use no model.
"""

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path

from simulacra.anomaly.anomalies import CORRUPTIONS, DEFECTS, OTHER_CLASS, anomalies, takes_masks
from simulacra.anomaly.calibration import DEFAULT_RATE, require_enough, store, validation_scores
from simulacra.anomaly.detector import calibrated
from simulacra.anomaly.evaluation import evaluate_detection, stored_evaluation
from simulacra.anomaly.listing import as_text, lines_of, write_lines
from simulacra.anomaly.pictures import MISTAKES, gallery, save_heat_maps, save_mistakes
from simulacra.anomaly.score import Score, score_images
from simulacra.anomaly.scores import BASELINES, DEFAULTS, LOCAL_BASELINE, find, scores
from simulacra.anomaly.summary import evaluation_section, evaluation_text
from simulacra.applications.application import Action, Application, ApplicationResult
from simulacra.core.capabilities import AMORTIZED_LATENT_SPACE, Denoises, HasDiscriminator, HasLikelihood, Reconstructs
from simulacra.core.config import Config, option
from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.files import write_json
from simulacra.core.home import expand_home
from simulacra.core.progress import Progress
from simulacra.core.text import comma_separated
from simulacra.data.load import named_images
from simulacra.data.own.skipped import skipped_facts, skipped_text
from simulacra.data.settings import DataConfig
from simulacra.images.files import check_new_folder, check_png, check_table, make_folder, save_png
from simulacra.images.section import ReportSection
from simulacra.runs.opened import OpenedRun
from simulacra.runs.output import IN_IMAGES, output_path

_SCORE = (
    f"anomaly score (default: that of the family): {', '.join(DEFAULTS)}, features, latent; baselines: {', '.join(BASELINES)}, "
    f"{LOCAL_BASELINE}"
)


@dataclass(frozen=True)
class CalibrateConfig(Config):
    """Settings of a calibration."""

    false_positive_rate: float = option(DEFAULT_RATE, "share of normal images that may be called anomalous", low=0, high=1)
    score: str = option("", _SCORE)


@dataclass(frozen=True)
class ScoreConfig(Config):
    """Settings of the scoring of images."""

    input: str = option("", "images to score: a file, folder or archive; required")
    score: str = option("", _SCORE)
    count: int = option(0, "number of images; 0: all", low=0)
    out: str = option("", "a .csv or .json file with one line for each image")
    heat_maps: str = option("", "a new folder for the images with anomalous regions in red, for scores that have heat maps")
    gallery: str = option("", "a .png file with the images sorted by their scores, the most anomalous first")


@dataclass(frozen=True)
class EvaluateConfig(Config):
    """Settings of an evaluation."""

    anomalies: str = option(
        "",
        f"kinds of anomalies, separated by commas: {', '.join(CORRUPTIONS)}, {OTHER_CLASS}, {DEFECTS}, the name of another data "
        f"set, or a folder of your own (default: {','.join(CORRUPTIONS)}, and {OTHER_CLASS} after training with --only-classes)",
    )
    masks: str = option("", "a folder with a mask for each image of a folder of your own, bright where it is anomalous")
    score: str = option("", _SCORE)
    count: int = option(2000, "number of normal test images, and of anomalies of each kind, at most; 0: all", low=0)
    out: str = option("", f"a .png file of missed anomalies and false alarms (default: {MISTAKES}.png {IN_IMAGES})")


# --- calibrate


def _calibrate(opened: OpenedRun, settings: CalibrateConfig, progress: Progress) -> ApplicationResult:
    """Determine the threshold of a score from held-out normal images.

    The threshold is an order statistic of the scores of the validation images, which are used neither for training nor for
    testing. It is printed with the 95 % interval of the false-positive rate that it has on new normal images.
    """
    score = find(settings.score, opened.model)
    require_enough(len(opened.dataset.validation), settings.false_positive_rate)
    scorer = score.fit(opened, progress)
    calibration = validation_scores(opened, scorer, settings.false_positive_rate, progress)
    path = store(opened, score, calibration)
    low, high = calibration.interval
    text = (
        f"{score.name}: {score.summary}\n"
        f"threshold {calibration.threshold:.6g}: score {calibration.rank:,} of {calibration.count:,} normal validation images\n"
        f"false-positive rate {calibration.rate:g} on average; 95 % interval of this threshold's rate {low:.4f} to {high:.4f}\n"
        f"stored in {path}"
    )
    return ApplicationResult({"path": str(path), "score": score.name, **calibration.facts()}, text)


# --- score


def _score(opened: OpenedRun, settings: ScoreConfig, progress: Progress) -> ApplicationResult:
    """Score images of your own: score, p-value among normal images and verdict of each.

    Files that cannot be read are listed as unreadable. No anomalous examples are needed.
    """
    score = find(settings.score, opened.model)
    table, drawing, folder = _outputs(settings, score)
    found = named_images(Path(settings.input), opened.spec, settings.count)
    detector = calibrated(opened, score, progress)
    with progress.task("scoring images", len(found.images), "images") as meter:
        scored = score_images(detector.scorer, found.images, meter, "images")
    lines = lines_of(found.names, scored.values, detector.calibration, found.skipped)
    facts = {"score": score.name, **detector.calibration.facts()}
    if table:
        write_lines(lines, table, facts)
    if drawing:
        save_png(gallery(found.images, scored.values), drawing)
    if folder and scored.maps is not None:
        save_heat_maps(found.images, scored.maps, detector.calibration.heat, found.names, folder)
    written = [str(path) for path in (table, drawing, folder) if path]
    count = sum(line.verdict == "anomalous" for line in lines)
    summary = f"{count} of {len(found.names)} images are anomalous by {score.name}{skipped_text(found.skipped, found.unused)}"
    text = "\n".join([as_text(lines), summary, *(f"written: {path}" for path in written)])
    images, skipped = [asdict(line) for line in lines], skipped_facts(found.skipped)
    return ApplicationResult({**facts, "written": written, "images": images, "skipped": skipped, "unused": found.unused}, text)


def _outputs(settings: ScoreConfig, score: Score) -> tuple[Path | None, Path | None, Path | None]:
    """Return the paths of table, gallery and heat maps; raises UsageError for wrong ones and without --input."""
    if not settings.input:
        raise UsageError("no --input: give an image, or a folder or archive of images")
    if settings.heat_maps and not score.maps:
        having = ", ".join(item.name for item in scores().values() if item.maps)
        raise UsageError(f"score {score.name} has no heat maps: choose one of those that have them with --score: {having}")
    table = check_table(expand_home(settings.out)) if settings.out else None
    drawing = check_png(expand_home(settings.gallery)) if settings.gallery else None
    return table, drawing, check_new_folder(expand_home(settings.heat_maps), "--heat-maps") if settings.heat_maps else None


# --- evaluate


def _evaluate(opened: OpenedRun, settings: EvaluateConfig, progress: Progress) -> ApplicationResult:
    """Measure a score on normal test images and on anomalies of several kinds.

    For each kind: AUROC, AUPR, and the shares of anomalies and of normal test images above the calibrated threshold. PCA and
    the 5th nearest training image in pixels are baselines with the same protocol; with masks, also the AUROC of pixels and a
    baseline of patches.
    """
    path = check_png(output_path(opened.run, settings, MISTAKES, ".png"))
    score = find(settings.score, opened.model)
    kinds = comma_separated(settings.anomalies) or _default_kinds(opened)
    if settings.masks and not any(map(takes_masks, kinds)):
        raise UsageError(f"--masks {settings.masks} is for a folder of your own in --anomalies, and there is none: leave it out")
    found = [anomalies(opened, kind, settings.count, settings.masks, progress) for kind in kinds]
    if len({item.kind for item in found}) < len(found):
        raise UsageError(f"--anomalies {settings.anomalies} names a kind twice, or two folders of one name: name each once")
    evaluation = evaluate_detection(opened, calibrated(opened, score, progress), found, settings.count, progress)
    save_mistakes(opened, evaluation, found, settings.count, path)
    stored_at = opened.run.detection_evaluation(score.name)
    content = {**evaluation.table(opened), "mistakes": str(path), "path": str(stored_at)}
    make_folder(stored_at.parent)
    write_json(stored_at, content)
    return ApplicationResult(content, evaluation_text(content, path))


def _default_kinds(opened: OpenedRun) -> list[str]:
    config = opened.run.config.data
    trained_on_some = isinstance(config, DataConfig) and config.only_classes
    return [*CORRUPTIONS, *([OTHER_CLASS] if trained_on_some else [])]


def _section(opened: OpenedRun) -> ReportSection | None:
    """Return the section of the newest stored evaluation, None where there is none."""
    content = stored_evaluation(opened.run)
    if content is None:
        return None
    try:
        return evaluation_section(opened, content)
    except (KeyError, TypeError, StopIteration) as error:
        raise SimulacraError(f"the stored evaluation is damaged ({error}): run 'simulacra detect evaluate' again") from error


_SCORE_NEXT = ("detect score {run} --input FOLDER",)

APPLICATION = Application(
    name="detect",
    description=__doc__,
    needs=(Denoises, AMORTIZED_LATENT_SPACE, Reconstructs, HasDiscriminator, HasLikelihood),
    actions=(
        Action("calibrate", inspect.getdoc(_calibrate) or "", CalibrateConfig, _calibrate, following=_SCORE_NEXT),
        Action("score", inspect.getdoc(_score) or "", ScoreConfig, _score),
        Action("evaluate", inspect.getdoc(_evaluate) or "", EvaluateConfig, _evaluate),
    ),
    examples=(
        "simulacra detect calibrate runs/first --false-positive-rate 0.01",
        "simulacra detect score runs/first --input photos/ --out scores.csv --score reconstruction --heat-maps maps",
        "simulacra detect evaluate runs/first --anomalies noise,blur,rotation,other-class",
    ),
    section=_section,
)

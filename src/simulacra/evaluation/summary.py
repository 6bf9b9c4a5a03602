"""The result of an evaluation in three sentences: how good the model is, compared with what, and what to do next."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulacra.core.capabilities import HasDiscriminator, Samples, supports
from simulacra.core.text import quoted
from simulacra.evaluation.metric_table import real_against_real
from simulacra.metrics.statistics.measurement import Measurement
from simulacra.runs.opened import OpenedRun
from simulacra.runs.own_families import family_file_of

Metrics = Mapping[str, Measurement]

_GRADES = ("good", "fair", "poor", "very poor")
_ALIKE = (0.8, 0.4, 0.1)  # precision, recall and coverage in relation to training images, at least, for each grade but the last
_EXPLAINED = (0.9, 0.7, 0.4)  # share of the variance of pixels that reconstructions explain, at least
_DIVERSE, _RECALLED = 0.5, 0.25  # diversity, and recall in relation to training images, of a collapsed model at most
_LONGER = 3  # times the training so far
_FAILURES = {
    "mode collapse": "collapsed",
    "memorization": "repeats training images",
    "missing modes": "misses a part of the data",
    "idle translation": "does not translate",
}
"""Kinds of warnings that decide about a model, whatever its other numbers are."""


@dataclass(frozen=True)
class Summary:
    """How good a model is, compared with what, and what to do next, a sentence each; command: the command of the next step."""

    verdict: str
    reference: str
    advice: str
    command: str

    @property
    def sentences(self) -> tuple[str, str, str]:
        """The three sentences."""
        return self.verdict, self.reference, self.advice


def summary(opened: OpenedRun, metrics: Metrics, reasons: Mapping[str, str], warnings: Sequence[str], images: str) -> Summary:
    """Return the summary of an evaluation.

    metrics, reasons, warnings: of the evaluation; images: the real images in words, such as "297 test images of digits".
    """
    name = f"{opened.run.config.family} at step {opened.step:,}"
    kinds = {warning: warning.partition(":")[0] for warning in warnings}
    failures = [
        warning for warning, kind in kinds.items() if kind in _FAILURES and (kind != "mode collapse" or _collapsed(metrics))
    ]
    grade, judged = _judged(metrics)
    if failures:
        kind, _, signs = failures[0].partition(": ")
        verdict = f"{name}: {_FAILURES[kind]}. {signs[:1].upper()}{signs[1:]}."
    else:
        verdict = f"{name}: {grade}. {judged}"
    words, command = _advice(opened, grade, reasons, failures)
    return Summary(verdict, f"Compared with: {_reference(metrics, images)}.", f"Next: {words.format(command=command)}.", command)


def _collapsed(metrics: Metrics) -> bool:
    """Return whether generated images are nearly alike, by their diversity or their recall, and not only poor or incomplete."""
    spread, recall = metrics.get("diversity"), metrics.get("recall")
    alike = spread is not None and spread.bounds[1] < _DIVERSE
    return alike or (recall is not None and recall.value < _RECALLED * _of_real(recall))


def _judged(metrics: Metrics) -> tuple[str, str]:
    """Return a grade and the sentence that explains it, by the metric that decides."""
    alike = {name: metrics[name] for name in ("precision", "recall", "coverage") if name in metrics}
    if len(alike) == 3:
        shares = [item.value / max(_of_real(item), 1e-9) for item in alike.values()]
        (generated, usual), (real, usual_real), (covered, usual_covered) = (
            (item.value, _of_real(item)) for item in alike.values()
        )
        words = f"{generated:.0%} of the generated images resemble real ones (of training images {usual:.0%})"
        words += f", and {real:.0%} of the real images resemble generated ones ({usual_real:.0%})"
        if shares[2] < min(shares[:2]):
            words += (
                f"; {covered:.0%} of the real images have a generated one among their nearest neighbours ({usual_covered:.0%})"
            )
        return _grade(min(shares), _ALIKE), f"{words}."
    error = metrics.get("mse")
    if error and (baseline := error.protocol.get("mean_image")):
        share = 1 - error.value / baseline
        return _grade(share, _EXPLAINED), f"Reconstructions explain {max(share, 0):.0%} of the variance of the pixels."
    for name, words in _NOT_GRADED.items():
        if item := metrics.get(name):
            return "not graded", f"{words} {item.text.replace('±', '+-')}, which another run has to be compared with."
    return "not graded", "Nothing was measured that grades it."


_NOT_GRADED = {
    "diversity": "The diversity of generated images in relation to real ones is",
    "restoration_psnr_db": "The PSNR of restorations in dB is",
    "translation_accuracy_to_b": "The accuracy of translations is",
    "translation_psnr_db_to_b": "The PSNR of translations in dB is",
    "bits_per_dim": "The bits per dimension are",
    "negative_elbo_nats": "The negative ELBO in nats per image is",
    "mse": "The mean squared error of reconstructions is",
    "high_quality_share": "The share of generated points near a mode is",
}
"""Numbers that have no grade, each with the words before it; the first that was measured is stated."""


def _grade(share: float, limits: Sequence[float]) -> str:
    """Return the grade of a share.

    >>> _grade(0.85, _ALIKE), _grade(0.05, _ALIKE)
    ('good', 'very poor')
    """
    return _GRADES[sum(share < limit for limit in limits)]


def _of_real(item: Measurement) -> float:
    """Return the value of training images in place of generated ones; where it is not known, the expected value, or 1."""
    real = real_against_real(item.protocol)
    return float(item.protocol.get("expected_for_equal_distributions", 1.0)) if real is None else real


def _reference(metrics: Metrics, images: str) -> str:
    parts = [f"the {images}"]
    if distance := next((item for item in metrics.values() if "extractor" in item.protocol), None):
        parts.append(f"in features of {distance.protocol['extractor']}")
    if (found := metrics.get("frechet_distance")) and (floor := metrics.get("frechet_floor")):
        parts.append(f"; Frechet distance {found.value:.3g}, of training images {floor.value:.3g}")
    elif (error := metrics.get("mse")) and (baseline := error.protocol.get("mean_image")):
        parts.append(f"; mean squared error {error.value:.3g}, of the mean image {baseline:.3g}")
    return " ".join(parts).replace(" ;", ";")


def _advice(opened: OpenedRun, grade: str, reasons: Mapping[str, str], failures: Sequence[str]) -> tuple[str, str]:
    """Return the next step in words, in which {command} is its command, and this command."""
    path, train = opened.run.path, opened.run.config.train
    run = " ".join(map(quoted, (str(path), *family_file_of(path))))
    report = f"simulacra report {run}"
    if any(failure.startswith("memorization") for failure in failures):
        return "see the nearest neighbours in the report ({command}); train on more images, or shorter", report
    if failures and supports(opened.model, HasDiscriminator):
        return (
            f"see the samples in the report ({{command}}); train again with another --seed, or with --lr {train.lr / 2:g}",
            report,
        )
    if opened.run.provenance.get("finished") is False:
        return "{command} continues the training, which was interrupted", f"simulacra resume {run}"
    if failures or grade in _GRADES[1:]:
        longer = f"simulacra resume {run} --for {_longer(train.duration)}"
        return "{command} trains longer; if that does not help, train a larger model", longer
    if supports(opened.model, Samples) and (reason := reasons.get("precision_recall", "")):
        words = reason.rstrip(".").replace("{", "(").replace("}", ")")
        return f"generated images were not compared with real ones: {words}. {{command}} shows them", report
    return "{command} shows its images; simulacra compare ranks it among other runs", report


def _longer(duration: str) -> str:
    """Return a duration several times as long.

    >>> _longer("20ep"), _longer("1.5h"), _longer("3000")
    ('60ep', '4.5h', '9000')
    """
    return re.sub(r"[\d.]+", lambda number: f"{_LONGER * float(number[0]):g}", duration.strip(), count=1)

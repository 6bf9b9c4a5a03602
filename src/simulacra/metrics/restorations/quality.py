"""Quality of restorations: similarity of their mean to the originals, diversity of the draws, coverage and width of intervals."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from simulacra.metrics.metric import Measured
from simulacra.metrics.restorations.calibration import Calibration
from simulacra.metrics.restorations.conformal import LEAST_DEVIATION, counted, pooled_mean
from simulacra.metrics.statistics.image_similarity import BEST, WINDOW, psnr, psnr_db, ssim, ssim_mean
from simulacra.metrics.statistics.measurement import Measurement, mean_of
from simulacra.runs.image_to_image.restoration import Restoration


@dataclass
class RestorationQuality:
    """Numbers of restorations, one value for each image; the restorations themselves are not kept."""

    _ratios: list[Tensor] = field(default_factory=list)
    _hidden_ratios: list[Tensor] = field(default_factory=list)
    _similarities: list[Tensor] = field(default_factory=list)
    _deviations: list[Tensor] = field(default_factory=list)
    _counts: list[Tensor] = field(default_factory=list)
    _covered: list[Tensor] = field(default_factory=list)
    _widths: list[Tensor] = field(default_factory=list)

    def add(self, restored: Restoration) -> None:
        """Add the restorations of some images; without originals only those numbers that need none."""
        hidden = (~restored.known).expand_as(restored.mean)
        counts = counted(restored.deviation, restored.known)
        self._deviations.append(_mean_over(restored.deviation, hidden))
        self._counts.append(counts.flatten(1).sum(1))
        self._widths.append(((restored.upper - restored.lower).double() * counts).flatten(1).sum(1))
        truth = restored.truth
        if truth is None:
            return
        errors = _mean_over((restored.mean.double() - truth.double()).square(), hidden)
        self._hidden_ratios.append(-10 * torch.log10(errors.clamp_min(10 ** (-BEST / 10))))
        self._ratios.append(psnr(restored.mean, truth))
        if min(truth.shape[2:]) >= WINDOW:
            self._similarities.append(ssim(restored.mean, truth))
        inside = (truth >= restored.lower) & (truth <= restored.upper)
        self._covered.append((inside & counts).flatten(1).sum(1))

    @property
    def diversity(self) -> Measurement:
        """The standard deviation over draws, mean over the hidden values of an image, then over images."""
        mean = "over the hidden values of an image, then over images"
        return mean_of(_defined(self._deviations), {"deviation": "over draws", "mean": mean})

    @property
    def similarity(self) -> Measured:
        """psnr_db and, for images of 11x11 pixels or more, ssim of the mean; empty without originals.

        The protocol of psnr_db, which is over all values of an image, holds that over the hidden values alone.
        """
        if not self._ratios:
            return {}
        facts = {"image": "the mean of the draws"}
        hidden = {"hidden_psnr_db": _defined(self._hidden_ratios).mean().item()}
        found = {"psnr_db": psnr_db(torch.cat(self._ratios)).under({**facts, **hidden})}
        return found | ({"ssim": ssim_mean(torch.cat(self._similarities)).under(facts)} if self._similarities else {})

    def intervals(self, calibration: Calibration) -> Measured:
        """Return interval_coverage and interval_width of counted values; raises UsageError where no value counts."""
        counts = torch.cat(self._counts)
        facts = {**calibration.facts, "values": f"hidden, deviation above {LEAST_DEVIATION}", "pixels": int(counts.sum())}
        facts |= {"error": "images as clusters", "calibration_error": calibration.standard_error}
        coverage = pooled_mean(torch.cat(self._covered), counts, facts)
        return {"interval_coverage": coverage, "interval_width": pooled_mean(torch.cat(self._widths), counts, facts)}


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean over the chosen values of each image [n ...]: float64 [n], NaN where none is chosen."""
    return (values.double() * chosen).flatten(1).sum(1) / chosen.flatten(1).sum(1)


def _defined(parts: list[Tensor]) -> Tensor:
    """Return the values [n] of parts that are not NaN; a single 0 where there are none."""
    values = torch.cat(parts)
    values = values[~values.isnan()]
    return values if len(values) else values.new_zeros(1)

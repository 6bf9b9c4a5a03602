"""Distributions of points with known density: mixtures of isotropic Gaussians, rounded to a grid of 256 x 256 cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulacra.core.randomness import derive

if TYPE_CHECKING:
    from simulacra.data.dataset import Dataset

Points = NDArray[np.uint8]
"""Points [n 2]: x and y, each in 0..255. A point denotes the cell of side 1 centred on it."""

SHAPE = (1, 1, 2)  # [c h w] of a point as an image: x and y, each with 256 levels
_LEVELS = 256
_CENTRE = (_LEVELS - 1) / 2
_CHUNK = 2**14  # points per call, which bounds memory


@dataclass(frozen=True, eq=False)
class KnownDensity:
    """A mixture of isotropic Gaussians of equal weight, truncated to the square and rounded to cells.

    centres: float64 [k 2] in levels; sigma: standard deviation in levels; modes: int64 [k], the mode 0..m-1 of each component.
    A round mode is one component, a curved mode is many.
    """

    name: str
    centres: NDArray[np.float64]
    sigma: float
    modes: NDArray[np.int64]

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Probability of each mode, [m]."""
        inside = self._log_inside.exp().numpy()
        return np.asarray(np.bincount(self.modes, inside) / inside.sum())

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """Probability of every cell, [256 256] by x and y; they add up to 1."""
        return np.exp(self.log_probability(cells())).reshape(_LEVELS, _LEVELS)

    @cached_property
    def entropy_nats(self) -> float:
        """Entropy of a point, the sum of -p log p over all cells: no model's expected negative log-likelihood is smaller."""
        held = self.probabilities[self.probabilities > 0]
        return float(-(held * np.log(held)).sum())

    def log_probability(self, points: Points) -> NDArray[np.float64]:
        """Return log p [n] of the cells of points [n 2], in nats, exact however improbable they are."""
        log_total = self._log_inside.logsumexp(0)
        whole = torch.from_numpy(points.astype(np.int64))
        parts = [
            (self._log_masses[0][:, part[:, 0]] + self._log_masses[1][:, part[:, 1]]).logsumexp(0) - log_total
            for part in whole.split(_CHUNK)
        ]
        return np.asarray(torch.cat(parts).numpy())

    def nearest(self, points: Points) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the nearest mode and the distance to the nearest centre in standard deviations, both [n], of points [n 2]."""
        modes, distances = [], []
        for part in np.array_split(points.astype(np.float64), max(1, len(points) // _CHUNK)):
            apart = np.hypot(part[:, None, 0] - self.centres[:, 0], part[:, None, 1] - self.centres[:, 1])
            modes.append(self.modes[apart.argmin(1)])
            distances.append(apart.min(1) / self.sigma)
        return np.concatenate(modes), np.concatenate(distances)

    def sample(self, count: int, seed: int, *purpose: str) -> tuple[Points, NDArray[np.int64]]:
        """Return points [n 2] and the modes [n] they come from; points outside the square are rejected and drawn again."""
        random = np.random.default_rng(derive(seed, "points", self.name, *purpose))
        points, modes = np.empty((0, 2), np.uint8), np.empty(0, np.int64)
        while len(points) < count:
            chosen = random.integers(len(self.centres), size=count)
            drawn = np.rint(self.centres[chosen] + self.sigma * random.standard_normal((count, 2)))
            inside = ((drawn >= 0) & (drawn < _LEVELS)).all(1)
            points = np.concatenate([points, drawn[inside].astype(np.uint8)])
            modes = np.concatenate([modes, self.modes[chosen[inside]]])
        return points[:count], modes[:count]

    @cached_property
    def _log_masses(self) -> tuple[Tensor, Tensor]:
        """Log mass of each centre's normal distribution in every column and in every row: float64 [k 256] each."""
        edges = np.arange(_LEVELS + 1) - 0.5
        x, y = (torch.from_numpy((edges - self.centres[:, axis, None]) / self.sigma) for axis in (0, 1))
        return _log_mass(x[:, :-1], x[:, 1:]), _log_mass(y[:, :-1], y[:, 1:])

    @cached_property
    def _log_inside(self) -> Tensor:
        """Log mass of each centre's normal distribution within the square: float64 [k]."""
        across, up = (masses.logsumexp(1) for masses in self._log_masses)
        return across + up


def _log_mass(low: Tensor, high: Tensor) -> Tensor:
    """Return log(Phi(high) - Phi(low)) for low < high, from the tail in which neither is near 1."""
    right = low > 0
    low, high = torch.where(right, -high, low), torch.where(right, -low, high)
    below, above = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    return above + torch.log1p(-torch.exp(below - above))


def cells() -> Points:
    """Return every cell of the square as a point, [65536 2], x first."""
    return np.mgrid[:_LEVELS, :_LEVELS].reshape(2, -1).T.astype(np.uint8)


# --- the densities

_SIGMA = 2.0  # levels: rounding adds 2 % to the variance, which the probabilities account for
_RADIUS = 100.0
_SPACING = 50.0
_UNIT = 70.0  # levels, the radius of either moon
_ALONG = 128  # centres along a moon, 0.9 standard deviations apart: their sum is constant along it to 1e-11


def _ring() -> KnownDensity:
    """Eight modes on a circle (Metz et al. 2017)."""
    angles = 2 * np.pi * np.arange(8) / 8
    return KnownDensity("ring", _CENTRE + _RADIUS * np.stack([np.cos(angles), np.sin(angles)], 1), _SIGMA, np.arange(8))


def _grid() -> KnownDensity:
    """Modes on five rows of five (Srivastava et al. 2017)."""
    rows, columns = np.mgrid[-2:3, -2:3].reshape(2, -1)
    return KnownDensity("grid", _CENTRE + _SPACING * np.stack([columns, rows], 1), _SIGMA, np.arange(25))


def _moons() -> KnownDensity:
    """Two interleaving half circles, with the layout of scikit-learn's make_moons."""
    angles = np.pi * (np.arange(_ALONG) + 0.5) / _ALONG
    upper = np.stack([np.cos(angles), np.sin(angles)], 1)
    centres = np.concatenate([upper, [1, 0.5] - upper]) - [0.5, 0.25]
    return KnownDensity("moons", _CENTRE + _UNIT * centres, _SIGMA, np.repeat(np.arange(2), _ALONG))


KNOWN_DENSITIES: Mapping[str, KnownDensity] = {density.name: density for density in (_ring(), _grid(), _moons())}


def known_density_of(data: "Dataset") -> KnownDensity | None:
    """Return the known density of a data set, or None if its density is not known."""
    return KNOWN_DENSITIES.get(data.name) if data.spec.shape == SHAPE else None


def points_of(images: Tensor) -> Points:
    """Return images [n 1 1 2] in [0, 1] as points, rounded to cells."""
    return np.asarray((images.clamp(0, 1) * (_LEVELS - 1)).round().to(torch.uint8).reshape(-1, 2).cpu().numpy())

"""Projections of latents to the plane: principal components, t-SNE, PaCMAP."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulacra.core.errors import SimulacraError, UsageError
from simulacra.core.randomness import derive

Points = NDArray[np.float64]
Method = Literal["latents", "pca", "tsne", "pacmap"]
NAMES: dict[Method, str] = {"latents": "the latents", "pca": "PCA", "tsne": "t-SNE", "pacmap": "PaCMAP"}
PERPLEXITY = 30.0
_MOST_DIMENSIONS = 50  # principal components that t-SNE is given at most, as in van der Maaten & Hinton (2008), section 4
_ITERATIONS = 1000
_START = 1e-4  # standard deviation of the first principal component in the initial map of t-SNE
_PACMAP_NEIGHBOURS = 10


@dataclass(frozen=True)
class PrincipalComponents:
    """Principal components of points [n d], by descending variance.

    mean: [d]; axes: [d d], unit vectors in its rows; variances: [d], of the points along the axes, divided by n.
    """

    mean: Points
    axes: Points
    variances: Points

    @staticmethod
    def of(points: NDArray[Any]) -> "PrincipalComponents":
        """Return the principal components; the element of largest absolute value of each axis is positive."""
        exact = np.asarray(points, np.float64)
        mean = exact.mean(0)
        moved = exact - mean
        variances, columns = np.linalg.eigh(moved.T @ moved / len(moved))
        axes = columns.T[::-1]
        signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
        return PrincipalComponents(mean, axes * signs[:, None], variances[::-1].clip(min=0))

    def project(self, points: NDArray[Any], count: int) -> Points:
        """Return the coordinates [n count] of points [n d] along the first axes; zeros beyond the d-th."""
        found: Points = (np.asarray(points, np.float64) - self.mean) @ self.axes[:count].T
        return np.pad(found, ((0, 0), (0, count - found.shape[1])))

    def share(self, count: int) -> float:
        """Return the share of the variance along the first axes."""
        return float(self.variances[:count].sum() / max(self.variances.sum(), np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class Projection:
    """A map: method, coordinates float64 [n 2], and its protocol, plain values by name."""

    method: Method
    coordinates: Points
    protocol: dict[str, Any]


def project(method: Method, latents: NDArray[Any], seed: int = 0, perplexity: float = PERPLEXITY) -> Projection:
    """Return the map of latents [n d], a function of its arguments.

    seed, perplexity: of t-SNE (PaCMAP: the seed). Raises UsageError for a perplexity that is too large, PaCMAP without its
    package, or the latents of more than two dimensions; SimulacraError for latents that are all equal or not finite.
    """
    components = check_latents(latents)
    if method == "latents":
        if latents.shape[1] > 2:
            raise UsageError(
                f"method is latents and the model has {latents.shape[1]} of them, expected at most 2: use pca or tsne"
            )
        plane = np.pad(np.asarray(latents, np.float64), ((0, 0), (0, 2 - latents.shape[1])))
        return Projection(method, plane, {})
    if method == "pca":
        return Projection(method, components.project(latents, 2), {"variance": components.share(2)})
    if method == "tsne":
        return _tsne(components, latents, seed, perplexity)
    return _pacmap(latents, seed)


def check_latents(latents: NDArray[Any]) -> PrincipalComponents:
    """Return the principal components of latents [n d]; raises SimulacraError where they are all equal or not finite."""
    if not np.isfinite(latents).all():
        raise SimulacraError("some latents are not finite: check the images, and whether the training diverged")
    components = PrincipalComponents.of(latents)
    if components.variances[0] <= 1e-16 * max(float(np.abs(components.mean).max()), 1e-8) ** 2:
        raise SimulacraError("all latents are equal, so that there is no map: train longer, or check for posterior collapse")
    return components


def check_perplexity(perplexity: float, count: int) -> None:
    """Raise UsageError for a perplexity of which three times is not smaller than the number of points."""
    if 3 * perplexity > count - 1:
        most = f"{(count - 1) / 3:.4g}, a third of the other points"
        raise UsageError(f"perplexity is {perplexity:g}, expected at most {most}: give a smaller --perplexity, or more --points")


def check_pacmap() -> None:
    """Raise UsageError where the package of PaCMAP is not installed."""
    if find_spec("pacmap") is None:
        raise UsageError('method is pacmap, which is not installed: pip install "simulacra[maps]", or use --method tsne')


def _tsne(components: PrincipalComponents, latents: NDArray[Any], seed: int, perplexity: float) -> Projection:
    """Return the Barnes-Hut t-SNE (van der Maaten 2014) of at most 50 principal components, started from the first two.

    The start has a small seeded noise: without it a map of points on a line could not leave the line.
    """
    from sklearn.manifold import TSNE

    check_perplexity(perplexity, len(latents))
    number = derive(seed, "latent map") % 2**32
    dimensions = min(latents.shape[1], _MOST_DIMENSIONS)
    plane = components.project(latents, 2) * (_START / components.variances[0] ** 0.5)
    start = plane + np.random.default_rng(number).normal(0, _START / 100, plane.shape)
    fitted = TSNE(perplexity=perplexity, init=start.astype(np.float32), max_iter=_ITERATIONS, random_state=number, n_jobs=1)
    found = np.asarray(fitted.fit_transform(components.project(latents, dimensions)), np.float64)
    protocol = {"perplexity": perplexity, "iterations": _ITERATIONS, "seed": seed, "kl": float(fitted.kl_divergence_)}
    return Projection("tsne", found, protocol)


def _pacmap(latents: NDArray[Any], seed: int) -> Projection:
    """Return the map of PaCMAP (Wang et al. 2021), for more points than t-SNE can take."""
    check_pacmap()
    from pacmap import PaCMAP

    number = derive(seed, "latent map") % 2**31
    fitted = PaCMAP(n_components=2, n_neighbors=_PACMAP_NEIGHBOURS, random_state=number)
    found = np.asarray(fitted.fit_transform(np.asarray(latents, np.float32), init="pca"), np.float64)
    return Projection("pacmap", found, {"neighbours": _PACMAP_NEIGHBOURS, "seed": seed})

"""Chapter 9: paths of the exact mean velocity between noise and eight Gaussians, and the error of few steps of Euler's method."""

from dataclasses import dataclass

import torch
from chart import COLOURS, Axis, dots, lines, panels, path
from torch import Tensor

from simulacra.data.synthetic.known_densities import KNOWN_DENSITIES
from simulacra.diffusion.noise_levels import NoiseLevels, ProbabilityPath, straight_path, variance_preserving
from simulacra.diffusion.samplers import DenoiserOutput, SamplerFunction, no_noise, sample_ddim, sample_euler, sample_heun
from simulacra.diffusion.schedules import cosine, sampling_levels

RING = KNOWN_DENSITIES["ring"]
CENTRES = torch.from_numpy(RING.centres / 127.5 - 1)  # [8 2] in [-1, 1]
SPREAD = RING.sigma / 127.5
POINTS = 10_000


@dataclass(frozen=True)
class Recorder:
    """The exact denoiser E[x | z] of the ring data, which stores the points [n 2] at which it is evaluated."""

    visited: list[Tensor]

    def __call__(self, noisy: Tensor, level: NoiseLevels) -> DenoiserOutput:
        """Return the mean of the Gaussian posteriors of the eight modes, weighted by their probabilities given z."""
        self.visited.append(noisy)
        variance = (level.alpha * SPREAD) ** 2 + level.sigma**2
        apart = noisy[:, None] - level.alpha * CENTRES  # [n 8 2]
        weights = (-apart.square().sum(2) / (2 * variance)).softmax(1)
        means = CENTRES + level.alpha * SPREAD**2 / variance * apart
        return DenoiserOutput((weights[..., None] * means).sum(1))


def solved(noise: Tensor, line: ProbabilityPath, sampler: SamplerFunction, steps: int) -> tuple[Tensor, list[Tensor]]:
    """Return the points [n 2] that a sampler computes from noise in equal steps of time, and all points on the way."""
    denoiser = Recorder([])
    levels = sampling_levels(line, steps, "time")
    end = sampler(denoiser, noise * levels[0].spread, levels, no_noise)
    return end, [*denoiser.visited, end]


def near(points: Tensor) -> float:
    """Return the percentage of points within three standard deviations of a mode."""
    return 100 * (torch.cdist(points, CENTRES).min(1).values <= 3 * SPREAD).double().mean().item()


def scaled(points: Tensor) -> list[tuple[float, float]]:
    """Return points as positions in the unit square of a panel, which covers [-2, 2]."""
    return [tuple(row) for row in (points / 4 + 0.5).tolist()]


def trajectories() -> None:
    """Draw the straight lines of the training, the solutions of the equation, and what one and four steps reach."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(40, 2, generator=random, dtype=torch.float64)
    data = CENTRES[torch.randint(8, (40,), generator=random)]
    straight = [path(scaled(torch.stack([one, other])), "#9aa3ad") for one, other in zip(noise, data, strict=True)]
    _, way = solved(noise, straight_path, sample_euler, 200)
    curved = [path(scaled(points), COLOURS[0]) for points in torch.stack(way, 1)]
    many = torch.randn(1000, 2, generator=random, dtype=torch.float64)
    modes = dots(scaled(CENTRES), COLOURS[1], 0.015, 1.0)
    drawn = {
        "lines of the training\n(40 pairs)": straight + modes,
        "paths of the mean velocity\n(40 noise points)": curved + modes,
        "reached in 1 step\n(1,000 points)": modes + dots(scaled(solved(many, straight_path, sample_euler, 1)[0]), COLOURS[0]),
        "reached in 8 steps\n(1,000 points)": dots(scaled(solved(many, straight_path, sample_euler, 8)[0]), COLOURS[0]),
    }
    panels("course-flow-paths", "Straight lines and the solutions of the mean velocity", drawn)


def errors() -> None:
    """Draw the share of points near a mode by the number of evaluations of the velocity."""
    noise = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    methods = {
        "flow, Euler": (straight_path, sample_euler, 1),
        "flow, Heun": (straight_path, sample_heun, 2),
        "cosine diffusion, DDIM": (variance_preserving(cosine), sample_ddim, 1),
    }
    series: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for name, (line, sampler, calls) in methods.items():
        for steps in (1, 2, 4, 8, 16, 32, 64):
            evaluations = calls * steps - (calls - 1)  # Heun's last step, to the clean level, is one of Euler's
            found = near(solved(noise, line, sampler, steps)[0])
            series[name].append((evaluations, found))
            print(f"{name}, {evaluations} evaluations: {found:.1f} % of {POINTS:,} points near a mode")
    x = Axis("evaluations of the velocity (logarithmic)", 1, 127, (1, 2, 4, 8, 16, 32, 64), log=True)
    y = Axis("points near a mode, %", 0, 100, (0, 25, 50, 75, 100))
    lines("course-flow-steps", "Exact mean velocity, few steps", series, x, y, legend="bottom")


trajectories()
errors()

"""Measure a trained model on the full test set."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simulacra.core.capabilities import Infers, Reconstructs, ScoresLikelihood
from simulacra.core.errors import DataError
from simulacra.core.files import write_json
from simulacra.core.modes import inference
from simulacra.core.progress import Meter, Progress
from simulacra.data.dataset import Split
from simulacra.metrics.active_units import active_units
from simulacra.metrics.evidence import evidence
from simulacra.metrics.nll import negative_log_likelihood
from simulacra.metrics.reconstruction import mean_squared_error
from simulacra.metrics.result import Measurement
from simulacra.runs.provenance import now
from simulacra.tasks.pictures import make_folder

if TYPE_CHECKING:
    from simulacra.tasks.trained import Trained

Measure = Callable[[Any, Split, Meter], dict[str, Measurement]]


def evaluate(trained: "Trained", particles: int, seed: int, progress: Progress) -> dict[str, Any]:
    """Return and store every number that applies: ELBO with its terms, NLL with `particles` samples, MSE, active units."""
    split = trained.dataset.test
    if len(split) == 0:
        raise DataError(f"{trained.dataset.name} has no test images to measure on: train on more images, or give --test-path")
    measurements: dict[str, Measurement] = {}
    missing: dict[str, str] = {}
    for name, needed, measure in _measures(particles, seed):
        if not isinstance(trained.model, needed):
            missing[name] = f"needs {needed.__name__}"
            continue
        with inference(trained.model), progress.work(name, len(split), "images") as meter:
            measurements |= measure(trained.model, split, meter)
    result = {
        "run": str(trained.run.path),
        "family": trained.run.config.family,
        "checkpoint": trained.step,
        "data": {"name": trained.dataset.name, "digest": trained.dataset.digest, "split": "test", "n": len(split)},
        "evaluated": now(),
        "metrics": {name: measurement.table() for name, measurement in measurements.items()},
        "not_applicable": missing,
    }
    make_folder(trained.run.evaluations)
    write_json(trained.run.evaluations / f"step_{trained.step:08d}-k{particles}-seed{seed}.json", result)
    return result


def _measures(particles: int, seed: int) -> list[tuple[str, type, Measure]]:
    """Return (name, needed capability, measure) of everything that can be measured."""
    return [
        ("negative ELBO", ScoresLikelihood, lambda model, split, meter: evidence(model, split, seed, meter)),
        (
            f"NLL with {particles} samples",
            ScoresLikelihood,
            lambda model, split, meter: {"nll_nats": negative_log_likelihood(model, split, particles, seed, meter)},
        ),
        ("reconstruction", Reconstructs, lambda model, split, meter: {"mse": mean_squared_error(model, split, meter)}),
        ("active units", Infers, lambda model, split, meter: {"active_units": active_units(model, split, meter)}),
    ]

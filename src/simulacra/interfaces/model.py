"""A trained model in Python: what the commands do with a run, as methods."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from PIL import Image

from simulacra import applications
from simulacra.anomaly import detector, scores
from simulacra.applications import restore as restoration
from simulacra.classification import store
from simulacra.core.errors import UsageError, unknown
from simulacra.core.family import Family
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset
from simulacra.evaluation.evaluate import evaluate
from simulacra.evaluation.settings import AMOUNTS, evaluation_settings, setting_needs
from simulacra.interfaces.commands import evaluate as evaluate_command
from simulacra.interfaces.display.notebook import html_of
from simulacra.interfaces.result import Result
from simulacra.maps import latent_map, walk
from simulacra.metrics import image_scores
from simulacra.reports.plots import curves
from simulacra.reports.run_page import write_report
from simulacra.runs import latent_space, sampling
from simulacra.runs.applicable import require_applicable
from simulacra.runs.image_to_image import reconstruction, translation
from simulacra.runs.latent_paths import interpolation, traversal
from simulacra.runs.opened import Device, OpenedRun, sharing_run
from simulacra.runs.run import Run

P = ParamSpec("P")
T = TypeVar("T")


def _displayed(function: Callable[Concatenate[OpenedRun, P], T]) -> Callable[Concatenate["Model", P], T]:
    """Return a method that shows its progress as the model does, unless another one is given."""
    signature = inspect.signature(function)

    def method(model: "Model", /, *args: P.args, **kwargs: P.kwargs) -> T:
        if "progress" not in signature.bind_partial(model, *args, **kwargs).arguments:
            kwargs["progress"] = model.progress
        return function(model, *args, **kwargs)

    return update_wrapper(method, function)


def _shared(function: Callable[Concatenate["Model", P], T]) -> Callable[Concatenate["Model", P], T]:
    """Return a method whose images the processes share that torchrun started: all must call it, and all get all images."""

    def method(model: "Model", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with sharing_run(model):
            return function(model, *args, **kwargs)

    return update_wrapper(method, function)


class Model(OpenedRun):
    """A trained model: what `train`, `resume` and `open` return. Images are float [n c h w] in [0, 1], on the CPU.

    Methods that the model does not support raise NotApplicable; `capabilities` lists what it supports. progress: where methods
    show their progress.
    """

    def __init__(self, run: Run, dataset: Dataset | None = None, progress: Progress = SILENT, device: Device = "auto") -> None:
        super().__init__(run, dataset, progress, device)
        self.progress = progress

    sample = _shared(_displayed(sampling.sample))
    sample_chunks = _displayed(sampling.sample_chunks)
    sample_classes = _shared(_displayed(sampling.sample_classes))
    reconstruct = reconstruction.reconstruct
    render_classes = reconstruction.render_classes
    encode = latent_space.encode
    decode = latent_space.decode
    interpolate = interpolation.interpolate
    interpolate_noise = interpolation.interpolate_noise
    interpolate_classes = interpolation.interpolate_classes
    traverse = traversal.traverse
    latent_map = _displayed(latent_map.latent_map)
    latent_walk = walk.walk
    image_scores = _displayed(image_scores.image_scores)
    translate = translation.translate
    restore = _displayed(restoration.restore)
    classify = store.classify
    anomaly_scores = scores.anomaly_scores
    detect = _displayed(detector.detect)
    curves = curves
    report = _displayed(write_report)

    @property
    def module(self) -> Family:
        """The model as a torch module, on `device`, in evaluation mode, whose parameters require no gradients.

        It has the methods of its capabilities, such as `encode(images, condition)`, which take and return tensors on that device
        and may be differentiated, and its networks as attributes, such as `encoder`; it defines no `forward`.
        """
        return self.model

    def evaluate(self, progress: Progress | None = None, **settings: Any) -> Result:
        """Return every metric that the model supports, as `simulacra evaluate --json` prints them.

        `settings` are those of `simulacra evaluate --help`, by name: split="test", samples=10_000, extractor="lenet", seed=0.
        Results are cached. Raises UsageError, DataError; NotApplicable for a setting that does not apply to the model.
        """
        require_applicable(self.model, settings.keys() - AMOUNTS, setting_needs())
        found = evaluate(self, evaluation_settings(settings), progress or self.progress)
        return Result(found, evaluate_command.text(found))

    def command(self, name: str, **settings: Any) -> Result:
        """Run a command of a trained model, such as "classify train" or "sample", and return what it prints with --json.

        `settings` are its flags, by name, with underscores for dashes: `count=8` for --count 8. It writes the same files. Raises
        UsageError for an unknown name, and the errors of the command.
        """
        first, _, second = name.strip().partition(" ")
        application = applications.find(first)
        actions = {action.name: action for action in application.actions}
        if (only := application.only_action) is not None and not second:
            actions = {"": only}
        if second not in actions:
            raise unknown(f"action of {first}", second, actions) if actions else UsageError(f"{first} has no action {second!r}")
        action = actions[second]
        chosen = action.settings.of(settings, name)
        application.require(self.model)
        require_applicable(self.model, settings, action.setting_needs)
        result = action.run(self, chosen, self.progress)
        return Result(result.content, result.text)

    def __repr__(self) -> str:
        shape, data = f"{self.spec.height} x {self.spec.width} x {self.spec.channels}", self.run.provenance["data"]["name"]
        return (
            f"<simulacra.Model: {type(self.model).__name__} at step {self.step:,}, trained on {data} ({shape}), "
            f"on {self.device.type}, from {self.run.path}; supports {', '.join(self.capabilities)}>"
        )

    def _repr_html_(self) -> str:
        """Return the representation, with the last images that the training saved, for notebooks."""
        if (saved := self.run.last_snapshot) is None:
            return html_of(repr(self))
        with Image.open(saved) as image:
            return html_of(repr(self), image)

"""An opened run: its model with the weights of the newest checkpoint, its settings, its data, its device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from simulacra.core.batch import DataSpec
from simulacra.core.capabilities import SamplesIteratively, SamplingPlan, of, require
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.errors import NotApplicable, UsageError, unknown
from simulacra.core.eval_mode import inference_mode
from simulacra.core.finite import require_finite
from simulacra.core.pointer import explained_by
from simulacra.core.progress import SILENT, Progress
from simulacra.data.dataset import Dataset
from simulacra.engine.distributed.processes import SHARED_FILES, Processes
from simulacra.engine.distributed.shared_work import sharing
from simulacra.engine.hardware import channels_last, device_of, keep_memory, precision_of
from simulacra.runs import own_families
from simulacra.runs.generation import change_plan
from simulacra.runs.run import Run

Device = Literal["auto", "cpu", "cuda"]
Method = Callable[..., Tensor]
Precision = Literal["auto", "float32", "bfloat16"]

_BATCH = 256  # images per call of the network


class OpenedRun:
    """A model with the weights of its newest checkpoint, in evaluation mode on one device, and what belongs to its run."""

    def __init__(self, run: Run, dataset: Dataset | None = None, progress: Progress = SILENT, device: Device = "auto") -> None:
        self.run = run
        self.device = device_of(device)
        keep_memory()
        self.model, self.step, problems = run.load_family()
        for problem in problems:
            progress.message(f"warning: {problem}; the checkpoint of step {self.step:,} is used")
        if difference := own_families.difference(run.provenance):
            progress.message(f"warning: {difference}")
        channels_last(self.model)
        self.model.to(self.device)
        self.spec = run.spec
        if dataset is not None:
            self.dataset = run.check_data(dataset)

    @cached_property
    def dataset(self) -> Dataset:
        """The data that the run was trained on."""
        return self.run.load_data()

    @property
    def capabilities(self) -> tuple[str, ...]:
        """Names of the capabilities of the model."""
        return of(type(self.model))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the weights, in hex: of their names, shapes and values."""
        found = sha256()
        for name, tensor in self.model.state_dict().items():
            found.update(f"{name}{list(tensor.shape)}{tensor.dtype}".encode())
            found.update(tensor.contiguous().cpu().numpy().tobytes())
        return found.hexdigest()

    def apply(self, function: Method, *inputs: Tensor, condition: Condition = UNCONDITIONAL, batch: int = _BATCH) -> Tensor:
        """Return function(*inputs, condition) of tensors [n ...], in batches on the model's device; the result is on the CPU.

        Raises NonFiniteError for a result that is infinite or NaN.
        """
        parts = zip(*(values.split(batch) for values in inputs), condition.split(batch, len(inputs[0])), strict=True)
        with inference_mode(self.model):
            found = torch.cat([function(*(item.to(self.device) for item in part)).cpu() for part in parts])
        return require_finite(found, f"outputs of this {type(self.model).__name__}")

    def plan(
        self,
        sampler: str | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        precision: Precision = "auto",
    ) -> SamplingPlan:
        """Return the sampling plan of an iterative sampler: that of the run's settings, changed by what is given.

        precision `auto` is the arithmetic of the training, or float32 where this hardware lacks it; it is that of the network,
        everything else is computed in float32. Raises NotApplicable for other models.
        """
        model = require(self.model, SamplesIteratively, "a choice of sampler, steps, guidance scale or precision")
        full = precision == "auto" and self.run.config.train.precision == "float32"
        arithmetic = precision_of("float32" if full else precision, self.device)
        return change_plan(model.plan, sampler, steps, guidance_scale, arithmetic)

    def label_condition(self, text: str, count: int) -> Condition:
        """Return the condition of `count` images with the label `text`: the name of a class, or `attribute=value,...`.

        Raises NotApplicable for a model that takes no labels, UsageError for an unknown or a missing name.
        """
        if "labels" not in self.model.accepts:
            refused = f"--label does not apply to this {type(self.model).__name__}"
            remedy = (
                "Train with --conditional" if self.model.vocabulary is None else "Use --caption, or train it on labels instead"
            )
            raise NotApplicable(explained_by(f"{refused}: it takes no labels. {remedy}", "label"))
        label = parse_label(text, self.spec)
        return Condition(label.expand(count, *label.shape[1:]))

    def caption_condition(self, text: str, count: int) -> Condition:
        """Return the condition of `count` images with the caption `text`.

        Raises NotApplicable for a model that takes no captions, UsageError for unknown words, with the nearest known ones.
        """
        if (vocabulary := self.model.vocabulary) is None:
            refused = f"--caption does not apply to this {type(self.model).__name__}"
            advice = "Train cvae, diffusion or flow with --captions"
            raise NotApplicable(explained_by(f"{refused}: it takes no captions. {advice}", "caption"))
        tokens = torch.from_numpy(vocabulary.parse(text))
        return Condition(tokens=tokens.expand(count, -1))


def check_images(images: Tensor, spec: DataSpec) -> Tensor:
    """Return images [n c h w] that have the shape of `spec`; raises UsageError for any other shape."""
    if images.ndim != 4 or images.shape[1:] != spec.shape:
        raise UsageError(f"images have shape {tuple(images.shape)}, expected [n {' '.join(map(str, spec.shape))}]")
    return images


def parse_label(text: str, spec: DataSpec) -> Tensor:
    """Return the label that a text names: int64 [1] for a class, [1 k] for `attribute=value` pairs of k attributes.

    >>> from simulacra.core.batch import Attribute
    >>> attributes = (Attribute("digit", ("0", "1")), Attribute("hue", ("red", "blue")))
    >>> parse_label("hue=blue,digit=1", DataSpec(1, 8, 8, attributes=attributes))
    tensor([[1, 1]])
    """
    if not spec.attributes:
        return torch.tensor([_index("class", text, spec.classes)])
    names = [item.name for item in spec.attributes]
    form = ",".join(f"{name}=VALUE" for name in names)
    values = _pairs(text, {item.name: item.values for item in spec.attributes}, form)
    if missing := [name for name in names if name not in values]:
        raise UsageError(f"label {text!r} gives no value of {' or '.join(missing)}: write {form}")
    return torch.tensor([[_index(item.name, values[item.name], item.values) for item in spec.attributes]])


def _pairs(text: str, known: Mapping[str, Sequence[str]], form: str) -> dict[str, str]:
    """Return the value that a text gives to each attribute; raises UsageError. known: values by attribute, which may have commas.

    >>> _pairs("hue=red, dark,size=1", {"hue": ("red", "red, dark"), "size": ("1", "2")}, "")
    {'hue': 'red, dark', 'size': '1'}
    """
    values, last = dict[str, str](), ""
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        longer = f"{values[last]},{part}" if last else ""
        if last and name not in known and any(item.startswith(longer.rstrip()) for item in known[last]):
            values[last] = longer.rstrip()
            continue
        if not equals:
            raise UsageError(f"label {text!r} is not of the form {form}")
        if name not in known:
            raise unknown("attribute", name, list(known))
        if name in values:
            raise UsageError(f"label {text!r} gives {name} twice: give each attribute once")
        values[name], last = value, name
    return values


def label_names(labels: Tensor, spec: DataSpec) -> list[str]:
    """Return labels int64 [n], or [n k] for k attributes, in the form that `parse_label` takes; unknown ones are empty.

    >>> label_names(torch.tensor([1, 0, -1]), DataSpec(1, 8, 8, classes=("cat", "dog")))
    ['dog', 'cat', '']
    """
    if labels.ndim == 1:
        return [spec.classes[label] if label >= 0 else "" for label in labels.tolist()]
    pairs = ([*zip(spec.attributes, row, strict=True)] for row in labels.tolist())
    return [",".join(f"{item.name}={item.values[value]}" for item, value in row if value >= 0) for row in pairs]


def _index(kind: str, value: str, values: tuple[str, ...]) -> int:
    if value not in values:
        raise unknown(kind, value, values)
    return values.index(value)


@contextmanager
def sharing_run(opened: OpenedRun) -> Iterator[Processes]:
    """Share work on a run inside, as `sharing` does, among processes that all have the same weights.

    Raises SimulacraError in all processes where one has other weights, and the errors of `sharing`.
    """
    with sharing() as processes:
        if processes.count > 1:
            processes.require_same([opened.step, opened.digest], f"weights of {opened.run.path}", SHARED_FILES)
        yield processes


def open_run(path: Path | str, dataset: Dataset | None = None, progress: Progress = SILENT, device: Device = "auto") -> OpenedRun:
    """Open a run folder; raises UsageError where it is not a run, DamagedCheckpoint where it holds no usable checkpoint."""
    return OpenedRun(Run.open(path), dataset, progress, device)

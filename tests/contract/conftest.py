"""The cases on which every family is tested: a family inherits its tests by the capabilities in its class header.

A test requests its cases by the name of its argument: `case` (all presets and shapes), `small_case` (all presets, 8x8 pixels),
`family_case`, or those with a capability, such as `sampling_case`. Three toy families cover every form of game even if no family
uses it: alternating and repeated turns, one turn of three losses, and unpaired domains.

Four rules keep the tests fast. Presets that differ in numbers only are one case. Widths of more than 8 are reduced to 8, and
networks to two resolutions. Numbers of blocks, steps and updates are reduced to those of `FEWEST`. `test_header.py` builds the
presets as they are. Presets other than the default, and the smallest images, are `long` tests.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from simulacra import families
from simulacra.core import capabilities
from simulacra.core.batch import Batch, DataSpec
from simulacra.core.batch_source import BatchSource, UnpairedBatches
from simulacra.core.condition import UNCONDITIONAL, Condition
from simulacra.core.config import Config, option, options
from simulacra.core.family import Family, FamilyFactory, Loss, Turn
from simulacra.core.randomness import generator, noise, reseed, stream
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig

LARGEST = 16  # single sizes above this are reduced to SIZE
SIZE = 8
LEVELS = 2  # resolutions of a network; more are left out
FEWEST = {"blocks": 1, "downsamplings": 1, "sampling_steps": 2, "critic_steps": 2, "pool": 4}  # used if a family has the setting
CLASSES = ("cat", "dog", "owl")
SMALL = DataSpec(1, 8, 8, CLASSES)
SMALLEST = DataSpec(1, 1, 2, CLASSES)
SHAPES = (DataSpec(3, 13, 9, CLASSES), SMALLEST)


# --- batches


@dataclass(frozen=True)
class RandomImages:
    """Random images of 256 levels and random labels: batch i is a function of (seed, i), or one and the same for every i.

    unlabelled: every second image has the label -1, as in semi-supervised training.
    """

    spec: DataSpec
    size: int
    seed: int = 0
    fixed: bool = False
    per_epoch: int = 5
    unlabelled: bool = False

    def batch(self, number: int, device: torch.device | str = "cpu") -> Batch:
        """Return batch `number`: smooth images with some noise, so that a loss can decrease."""
        source = generator(self.seed, "test batch", 0 if self.fixed else number)
        blocks = torch.rand(self.size, self.spec.channels, 2, 2, generator=source)
        smooth = nn.functional.interpolate(blocks, (self.spec.height, self.spec.width), mode="bilinear")
        noisy = (smooth + 0.1 * torch.rand(smooth.shape, generator=source)).clamp(0, 1)
        labels = torch.randint(0, max(1, len(self.spec.classes)), (self.size,), generator=source) if self.spec.classes else None
        if labels is not None and self.unlabelled:
            labels[1::2] = -1
        return Batch((noisy * 255).round() / 255, Condition(labels)).to(device)


# --- cases


@dataclass(frozen=True)
class Case:
    """A family with the settings of a preset, for one image shape."""

    kind: type[Family]
    name: str
    preset: str = ""
    spec: DataSpec = SMALL
    conditional: bool = False

    def __str__(self) -> str:
        """Return the name of the test's parameter, as in vae:dense-1x8x8."""
        preset = f":{self.preset}" if self.preset else ""
        return f"{self.name}{preset}-{'x'.join(map(str, self.spec.shape))}"

    @property
    def marks(self) -> tuple[pytest.MarkDecorator, ...]:
        """The mark of presets other than the default and of the smallest images, which `make long` tests."""
        return (pytest.mark.long,) if self.preset or self.spec is SMALLEST else ()

    @property
    def config(self) -> Config:
        """The settings of the preset with reduced sizes."""
        chosen = self.kind.Config.of(self.kind.presets.get(self.preset, {})).table()
        sizes = {name: [min(one, SIZE) for one in value[:LEVELS]] for name, value in chosen.items() if isinstance(value, list)}
        numbers = {name: SIZE for name, value in chosen.items() if type(value) is int and value > LARGEST}
        fewest = {name: value for name, value in FEWEST.items() if name in chosen}
        given = {"conditional": True} if self.conditional else {}
        return self.kind.Config.of({**chosen, **sizes, **numbers, **fewest, **given})

    def new(self, seed: int = 0) -> Family:
        """Return the family with the initial weights of a seed, without use of the global generator."""
        with stream(seed, "test initialization"):
            return cast(FamilyFactory, self.kind)(self.config, self.spec)

    def batch_source(self, size: int = 4, seed: int = 0, fixed: bool = False) -> BatchSource:
        """Return batches of this shape, from every domain where the family has several."""
        if not self.kind.domains:
            return RandomImages(self.spec, size, seed, fixed, unlabelled=self.new().accepts_unlabelled)
        batch_sources = {
            name: RandomImages(self.spec, size, seed + 1000 * (index + 1), fixed) for index, name in enumerate(self.kind.domains)
        }
        return UnpairedBatches(cast(Mapping[str, BatchSource], batch_sources))

    def batch(self, size: int = 4, number: int = 0) -> Batch:
        """Return one batch."""
        return self.batch_source(size).batch(number)

    def settings(self, **changes: object) -> TrainConfig:
        """Return the family's own training settings, in float32 on the CPU, with changes."""
        fixed = {"batch": 4, "duration": "10", "precision": "float32", "device": "cpu"}
        return TrainConfig.of({**self.kind.defaults, **fixed, **changes})

    def trainer(self, seed: int = 0, **changes: object) -> Trainer:
        """Return a trainer of the family with the weights of a seed, on the batch_source of that seed."""
        settings = self.settings(seed=seed, **changes)
        return Trainer(self.new(seed), self.batch_source(settings.batch, seed), settings)


# --- toy families


@dataclass(frozen=True)
class ToyConfig(Config):
    """Settings of the toy families."""

    width: int = option(3, "width of the latents", low=1)


class Alternating(Family):
    """A generator and a discriminator with batch norm and dropout; the discriminator has two turns per step."""

    Config = ToyConfig
    summary = "alternating turns"
    paper = "Goodfellow et al. 2014"

    def __init__(self, config: ToyConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.generator = nn.Sequential(nn.Linear(config.width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, data.dimensions))
        self.discriminator = nn.Sequential(nn.Linear(data.dimensions, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 1))

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(self._discriminator_loss, repeats=2), Turn(self._generator_loss))

    def _fake(self, count: int) -> Tensor:
        return torch.sigmoid(self.generator(torch.randn(count, self.config.width)).float())

    def _discriminator_loss(self, batch: Batch) -> dict[str, Loss]:
        real, fake = self.discriminator(batch.images.flatten(1)), self.discriminator(self._fake(len(batch)).detach())
        total = nn.functional.softplus(-real.float()).mean() + nn.functional.softplus(fake.float()).mean()
        return {"discriminator": Loss(total, {"real": real.float().mean()})}

    def _generator_loss(self, batch: Batch) -> dict[str, Loss]:
        return {"generator": Loss(nn.functional.softplus(-self.discriminator(self._fake(len(batch))).float()).mean())}


class Simultaneous(Family):
    """Three players in one turn, each with a loss that also depends on the parameters of the others."""

    Config = ToyConfig
    summary = "one turn of three players"
    paper = "Larsen et al. 2015"

    def __init__(self, config: ToyConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Linear(data.dimensions, config.width)
        self.decoder = nn.Linear(config.width, data.dimensions)
        self.discriminator = nn.Linear(data.dimensions, 1)

    def players(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder, "discriminator": self.discriminator}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(self._losses),)

    def _losses(self, batch: Batch) -> dict[str, Loss]:
        images = batch.images.flatten(1)
        codes = self.encoder(images)
        decoded = torch.sigmoid(self.decoder(codes + torch.randn_like(codes)).float())
        error = (decoded - images).square().sum(1).mean()
        fake = nn.functional.softplus(self.discriminator(decoded).float()).mean()
        real = nn.functional.softplus(-self.discriminator(images).float()).mean()
        return {
            "encoder": Loss(error + codes.float().square().mean(), {"mse": error}),
            "decoder": Loss(error - 3 * fake),
            "discriminator": Loss(fake + real),
        }


class TwoDomains(Family):
    """A generator between two unpaired domains, and a discriminator of each."""

    Config = ToyConfig
    summary = "unpaired domains"
    paper = "Zhu et al. 2017"
    domains = ("a", "b")

    def __init__(self, config: ToyConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.generator = nn.Conv2d(data.channels, data.channels, 3, padding=1)
        self.discriminators = nn.ModuleDict({name: nn.Linear(data.dimensions, 1) for name in self.domains})

    def players(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminators": self.discriminators}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(self._generator_loss), Turn(self._discriminators_loss))

    def _logits(self, name: str, images: Tensor) -> Tensor:
        return cast(Tensor, self.discriminators[name](images.flatten(1))).float()

    def _generator_loss(self, batch: Batch) -> dict[str, Loss]:
        return {"generator": Loss((self._logits("b", self.generator(batch["a"].images)) - 1).square().mean())}

    def _discriminators_loss(self, batch: Batch) -> dict[str, Loss]:
        fake = self.generator(batch["a"].images).detach()
        total = self._logits("b", fake).square().mean() + (self._logits("b", batch["b"].images) - 1).square().mean()
        return {"discriminators": Loss(total + (self._logits("a", batch["a"].images) - 1).square().mean())}


TOYS = tuple(Case(kind, f"toy {kind.__name__.lower()}") for kind in (Alternating, Simultaneous, TwoDomains))

# --- which test gets which cases


def _different(kind: type[Family]) -> tuple[str, ...]:
    """Return the default preset and those that differ from all earlier ones in more than numbers."""
    found: dict[frozenset[tuple[str, str | bool]], str] = {}
    for preset in ("", *kind.presets):
        values = kind.Config.of(kind.presets.get(preset, {})).table()
        found.setdefault(frozenset((name, value) for name, value in values.items() if isinstance(value, str | bool)), preset)
    return tuple(found.values())


FAMILIES = tuple((name, families.find(name)) for name in families.names())
BY_PRESET = tuple(Case(kind, name, preset) for name, kind in FAMILIES for preset in _different(kind))
BY_SHAPE = tuple(Case(kind, name, "", spec) for name, kind in FAMILIES for spec in SHAPES)
KINDS: Mapping[str, Callable[[], tuple[Case, ...]]] = {
    "case": lambda: BY_PRESET + BY_SHAPE + TOYS,
    "small_case": lambda: BY_PRESET + TOYS,
    "family_case": lambda: tuple(Case(kind, name) for name, kind in FAMILIES),
    "solo_case": lambda: tuple(case for case in BY_PRESET if len(case.new().players()) == 1),
    "sampling_case": lambda: able(capabilities.Samples),
    "iterative_case": lambda: able(capabilities.SamplesIteratively),
    "restoring_case": lambda: able(capabilities.Restores),
    "latent_case": lambda: able(capabilities.LatentSpace),
    "amortized_case": lambda: able(capabilities.AMORTIZED_LATENT_SPACE),
    "inverting_case": lambda: tuple(
        case
        for case in able(capabilities.LatentSpace)
        if not capabilities.supports(case.kind, capabilities.AMORTIZED_LATENT_SPACE)
    ),
    "feature_case": lambda: able(capabilities.HasFeatures),
    "conditional_case": lambda: tuple(
        Case(kind, name, conditional=not kind.needs_labels)
        for name, kind in FAMILIES
        if kind.needs_labels or "conditional" in _settings(kind)
    ),
    "reconstructing_case": lambda: able(capabilities.Reconstructs),
    "posterior_case": lambda: able(capabilities.HasPosterior),
    "likelihood_case": lambda: able(capabilities.HasLikelihood),
    "classifying_case": lambda: able(capabilities.Classifies),
    "translating_case": lambda: able(capabilities.Translates),
    "small_likelihood_case": lambda: tuple(case for case in able(capabilities.HasLikelihood) if case.spec is SMALL),
}


def able(need: type[capabilities.Capability] | capabilities.Need[Any]) -> tuple[Case, ...]:
    """Return the cases of the families that have a capability."""
    return tuple(case for case in BY_PRESET + BY_SHAPE if capabilities.supports(case.kind, need))


def _settings(kind: type[Family]) -> set[str]:
    return {setting.name for setting in options(kind.Config)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize every test with the cases that its argument names."""
    for name, cases in KINDS.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [pytest.param(case, marks=case.marks) for case in cases()], ids=str)


# --- calling every method


def calls(family: Any, images: Tensor, condition: Condition = UNCONDITIONAL) -> dict[str, Callable[[], Any]]:
    """Return a call of every method of every capability of a model, by the method's name.

    Fields of the condition that are not given and that the model derives from images are added.
    """
    count = len(images)
    condition = family.complete_condition(condition, images)
    known = torch.ones_like(images[:, :1])

    def drawn() -> Tensor:
        return noise(0, 0, count, family.noise_shape)

    table: dict[type, dict[str, Callable[[], Any]]] = {
        capabilities.Samples: {"generate": lambda: family.generate(drawn(), condition)},
        capabilities.SamplesIteratively: {
            "sample_with_plan": lambda: family.sample_with_plan(drawn(), condition, family.plan, lambda: None),
            "forward_process": lambda: family.forward_process(images, drawn(), 3, condition),
            "reverse_process": lambda: family.reverse_process(drawn(), 3, condition),
        },
        capabilities.Restores: {"restore": lambda: family.restore(images, known, drawn(), condition)},
        capabilities.LatentSpace: {
            "encode": lambda: family.encode(images, condition),
            "decode": lambda: family.decode(torch.ones(count, family.latent_dim), condition),
        },
        capabilities.HasFeatures: {"features": lambda: family.features(images, 0.1, condition)},
        capabilities.Reconstructs: {"reconstruct": lambda: family.reconstruct(images, condition)},
        capabilities.HasPosterior: {"posterior": lambda: family.posterior(images, condition).mean},
        capabilities.HasLikelihood: {
            "observe": lambda: family.observe(images, condition),
            "elbo": lambda: family.elbo(images, condition).negative_elbo,
            "log_likelihood": lambda: family.log_likelihood(images, 2, condition).nats,
            "floor": lambda: or_zeros(family.floor(images, condition), count),
        },
        capabilities.HasDiffusionBound: {
            "diffusion_bound": lambda: family.diffusion_bound(images, 2, condition).total,
            "flow_log_likelihood": lambda: family.flow_log_likelihood(images, 1, condition).nats,
        },
        capabilities.HasDiscriminator: {"discriminator_features": lambda: family.discriminator_features(images, condition)},
        capabilities.Denoises: {"denoise": lambda: family.denoise(images, drawn(), 0.5, condition)},
        capabilities.Classifies: {"class_log_probabilities": lambda: family.class_log_probabilities(images, condition)},
        capabilities.Translates: {"translate": lambda: family.translate(images, family.domains[0], condition)},
    }
    return {name: call for kind, named in table.items() if isinstance(family, kind) for name, call in named.items()}


def or_zeros(values: Tensor | None, count: int) -> Tensor:
    """Return the values, or zeros where there are none."""
    return torch.zeros(count) if values is None else values


# --- recording turns


@dataclass(frozen=True)
class RecordedTurn:
    """One turn: its batch, the state of the random generator, the weights before it, and the gradients of every player.

    expected: gradients of each player's loss with respect to its own parameters, computed on a copy of the family;
    found: .grad of every player's parameters at the first optimizer step of the turn.
    """

    batch: Batch
    random_state: Tensor
    before: Mapping[str, list[Tensor]]
    expected: Mapping[str, list[Tensor | None]]
    found: dict[str, list[Tensor | None]]


class Recorder:
    """A trainer whose turns are recorded."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.turns: list[RecordedTurn] = []
        turns = trainer.turns
        trainer.turns = tuple(replace(turn, losses=self._recorded(index, turn)) for index, turn in enumerate(turns))
        for optimizer in trainer.optimizers.values():
            optimizer.step = self._recorded_step(optimizer.step)  # type: ignore[method-assign]

    def weights(self) -> dict[str, list[Tensor]]:
        """Return a copy of every player's parameters."""
        return {name: [item.detach().clone() for item in items] for name, items in self.trainer.parameters.items()}

    def _recorded(self, index: int, turn: Turn) -> Callable[[Batch], Mapping[str, Loss]]:
        def losses(batch: Batch) -> Mapping[str, Loss]:
            state = torch.get_rng_state()
            expected = self._expected(index, batch)
            torch.set_rng_state(state)
            self.turns.append(RecordedTurn(batch, state, self.weights(), expected, {}))
            return turn.losses(batch)

        return losses

    def _expected(self, index: int, batch: Batch) -> dict[str, list[Tensor | None]]:
        twin = copy.deepcopy(self.trainer.family)
        players = twin.players()
        losses = twin.turns()[index].losses(batch)
        return {
            name: list(torch.autograd.grad(loss.total, trainable(players[name]), retain_graph=True, allow_unused=True))
            for name, loss in losses.items()
        }

    def _recorded_step(self, step: Callable[[], None]) -> Callable[[], None]:
        def record_and_step() -> None:
            found = self.turns[-1].found
            if not found:
                for name, items in self.trainer.parameters.items():
                    found[name] = [None if item.grad is None else item.grad.clone() for item in items]
            step()

        return record_and_step


def trainable(player: nn.Module) -> list[nn.Parameter]:
    """Return a player's trainable parameters."""
    return [parameter for parameter in player.parameters() if parameter.requires_grad]


@pytest.fixture
def record() -> Callable[[Trainer], Recorder]:
    """Return a function that records the turns of a trainer."""
    return Recorder


@pytest.fixture
def losses_of() -> Callable[[Family, Batch], dict[str, Loss]]:
    """Return a function from a family and a batch to the losses of all its turns, by `turn/player`, from a fixed stream."""

    def losses(family: Family, batch: Batch, seed: int = 0) -> dict[str, Loss]:
        reseed(seed, "test losses")
        return {
            f"{index}/{player}": loss for index, turn in enumerate(family.turns()) for player, loss in turn.losses(batch).items()
        }

    return losses

"""The cases that every family is held to: a family inherits its tests by its class header, and nothing here names one.

A test asks for a kind of case by its argument: `case` (any shape), `small_case` (every preset on 8x8), or a capability, as in
`sampling_case`. Three toy games stand beside the families, so that every form of game is played whichever families exist: moves
in alternation and repeated, moves at once with three losses, and unpaired domains.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import torch
from _pytest.mark import ParameterSet
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

LARGE = 10_000_000  # parameters
MANY = 28 * 28  # pixel values that a network is shown step after step
CLASSES = ("cat", "dog", "owl")
SMALL = DataSpec(1, 8, 8, CLASSES)
SHAPES = (SMALL, DataSpec(1, 28, 28, CLASSES), DataSpec(3, 97, 64, CLASSES), DataSpec(1, 1, 2, CLASSES))


# --- batches


@dataclass(frozen=True)
class MemoryFeed:
    """Random images of 256 levels and random labels: batch i is a function of (seed, i), or one and the same for every i."""

    spec: DataSpec
    size: int
    seed: int = 0
    fixed: bool = False
    per_epoch: int = 5

    def batch(self, number: int, device: torch.device | str = "cpu") -> Batch:
        """Return batch `number`: coarse blocks of grey with some noise, so that there is something to learn."""
        source = generator(self.seed, "test batch", 0 if self.fixed else number)
        blocks = torch.rand(self.size, self.spec.channels, 2, 2, generator=source)
        smooth = nn.functional.interpolate(blocks, (self.spec.height, self.spec.width), mode="bilinear")
        noisy = (smooth + 0.1 * torch.rand(smooth.shape, generator=source)).clamp(0, 1)
        labels = torch.randint(0, max(1, len(self.spec.classes)), (self.size,), generator=source) if self.spec.classes else None
        return Batch((noisy * 255).round() / 255, Condition(labels)).to(device)


# --- cases


@dataclass(frozen=True)
class Case:
    """One family in one preset on one shape of data, with all that a test needs to play it."""

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
    def config(self) -> Config:
        """The settings of the preset; where noise is refined to images step by step, in few steps."""
        few = {"sampling_steps": 3} if issubclass(self.kind, capabilities.SamplesIteratively) else {}
        given = {"conditional": True} if self.conditional else {}
        return self.kind.Config.of({**self.kind.presets.get(self.preset, {}), **few, **given})

    def new(self, seed: int = 0) -> Family:
        """Return the family with the fresh weights of a seed; the caller's generator is left alone."""
        with stream(seed, "test initialization"):
            return cast(FamilyFactory, self.kind)(self.config, self.spec)

    def batch_source(self, size: int = 4, seed: int = 0, fixed: bool = False) -> BatchSource:
        """Return batches of this shape, from every domain where the family has several."""
        if not self.kind.domains:
            return MemoryFeed(self.spec, size, seed, fixed)
        batch_sources = {
            name: MemoryFeed(self.spec, size, seed + 1000 * (index + 1), fixed) for index, name in enumerate(self.kind.domains)
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


# --- toy games


@dataclass(frozen=True)
class ToyConfig(Config):
    """Settings of the toys."""

    width: int = option(3, "width of everything", low=1)


class Alternating(Family):
    """A generator and a discriminator with batch norm, dropout and a buffer; the discriminator moves twice in a step."""

    Config = ToyConfig
    summary = "moves in alternation"
    paper = "Goodfellow et al. 2014"

    def __init__(self, config: ToyConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.generator = nn.Sequential(nn.Linear(config.width, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, data.dimensions))
        self.discriminator = nn.Sequential(nn.Linear(data.dimensions, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 1))

    def players(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator, "generator": self.generator}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(self._judge, repeats=2), Turn(self._forge))

    def _fake(self, count: int) -> Tensor:
        return torch.sigmoid(self.generator(torch.randn(count, self.config.width)).float())

    def _judge(self, batch: Batch) -> dict[str, Loss]:
        real, fake = self.discriminator(batch.images.flatten(1)), self.discriminator(self._fake(len(batch)).detach())
        total = nn.functional.softplus(-real.float()).mean() + nn.functional.softplus(fake.float()).mean()
        return {"discriminator": Loss(total, {"real": real.float().mean()})}

    def _forge(self, batch: Batch) -> dict[str, Loss]:
        return {"generator": Loss(nn.functional.softplus(-self.discriminator(self._fake(len(batch))).float()).mean())}


class Simultaneous(Family):
    """Three players that move at once on one graph, each with a loss that also depends on the others' parameters."""

    Config = ToyConfig
    summary = "three losses at once"
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
        judged = nn.functional.softplus(self.discriminator(decoded).float()).mean()
        praised = nn.functional.softplus(-self.discriminator(images).float()).mean()
        return {
            "encoder": Loss(error + codes.float().square().mean(), {"mse": error}),
            "decoder": Loss(error - 3 * judged),
            "discriminator": Loss(judged + praised),
        }


class TwoDomains(Family):
    """A translator between two unpaired domains and a critic of each."""

    Config = ToyConfig
    summary = "unpaired domains"
    paper = "Zhu et al. 2017"
    domains = ("a", "b")

    def __init__(self, config: ToyConfig, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.translator = nn.Conv2d(data.channels, data.channels, 3, padding=1)
        self.critics = nn.ModuleDict({name: nn.Linear(data.dimensions, 1) for name in self.domains})

    def players(self) -> dict[str, nn.Module]:
        return {"translator": self.translator, "critics": self.critics}

    def turns(self) -> tuple[Turn, ...]:
        return (Turn(self._translate), Turn(self._criticize))

    def _score(self, name: str, images: Tensor) -> Tensor:
        return cast(Tensor, self.critics[name](images.flatten(1))).float()

    def _translate(self, batch: Batch) -> dict[str, Loss]:
        return {"translator": Loss((self._score("b", self.translator(batch["a"].images)) - 1).square().mean())}

    def _criticize(self, batch: Batch) -> dict[str, Loss]:
        fake = self.translator(batch["a"].images).detach()
        total = self._score("b", fake).square().mean() + (self._score("b", batch["b"].images) - 1).square().mean()
        return {"critics": Loss(total + (self._score("a", batch["a"].images) - 1).square().mean())}


TOYS = tuple(Case(kind, f"toy {kind.__name__.lower()}") for kind in (Alternating, Simultaneous, TwoDomains))

# --- which test gets which cases

FAMILIES = tuple((name, families.find(name)) for name in families.names())
BY_PRESET = tuple(
    Case(kind, name, preset)
    for name, kind in FAMILIES
    for preset in ("", *(key for key, values in kind.presets.items() if values))
)
BY_SHAPE = tuple(Case(kind, name, "", spec) for name, kind in FAMILIES for spec in SHAPES if spec is not SMALL)
KINDS: Mapping[str, Callable[[], tuple[Case, ...]]] = {
    "case": lambda: BY_PRESET + BY_SHAPE + TOYS,
    "small_case": lambda: BY_PRESET + TOYS,
    "family_case": lambda: tuple(Case(kind, name) for name, kind in FAMILIES),
    "solo_case": lambda: tuple(case for case in BY_PRESET if len(case.new().players()) == 1),
    "sampling_case": lambda: able(capabilities.Samples),
    "refining_case": lambda: able(capabilities.SamplesIteratively),
    "restoring_case": lambda: able(capabilities.Restores),
    "latent_case": lambda: able(capabilities.LatentSpace),
    "amortized_case": lambda: able(capabilities.AMORTIZED_LATENT_SPACE),
    "inverting_case": lambda: tuple(
        case
        for case in able(capabilities.LatentSpace)
        if not capabilities.supports(case.kind, capabilities.AMORTIZED_LATENT_SPACE)
    ),
    "conditional_case": lambda: tuple(
        Case(kind, name, conditional=True) for name, kind in FAMILIES if "conditional" in _settings(kind)
    ),
    "reconstructing_case": lambda: able(capabilities.Reconstructs),
    "inferring_case": lambda: able(capabilities.HasPosterior),
    "scoring_case": lambda: able(capabilities.HasLikelihood),
    "translating_case": lambda: able(capabilities.Translates),
    "small_scoring_case": lambda: tuple(case for case in able(capabilities.HasLikelihood) if case.spec is SMALL),
}


def able(need: type[capabilities.Capability] | capabilities.Need[Any]) -> tuple[Case, ...]:
    """Return the cases of the families that have a capability."""
    return tuple(case for case in BY_PRESET + BY_SHAPE if capabilities.supports(case.kind, need))


def _settings(kind: type[Family]) -> set[str]:
    return {setting.name for setting in options(kind.Config)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test the cases that its argument names."""
    for name, cases in KINDS.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, [_parameter(case) for case in cases()])


def _parameter(case: Case) -> ParameterSet:
    """Return a case as the parameter of a test: slow where networks are large, or where large images take many steps."""
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in case.new().parameters())
    often = issubclass(case.kind, capabilities.SamplesIteratively)
    slow = size > (LARGE // 10 if often else LARGE) or (often and case.spec.dimensions > MANY)
    return pytest.param(case, id=str(case), marks=[pytest.mark.slow] if slow else [])


# --- calling every method


def calls(family: Any, images: Tensor, condition: Condition = UNCONDITIONAL) -> dict[str, Callable[[], Any]]:
    """Return a call of every method of every capability of a model, by the method's name."""
    count = len(images)
    known = torch.ones(images.shape[2:], dtype=torch.bool)

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
        capabilities.Reconstructs: {"reconstruct": lambda: family.reconstruct(images, condition)},
        capabilities.HasPosterior: {"posterior": lambda: family.posterior(images, condition).mean},
        capabilities.HasLikelihood: {
            "observe": lambda: family.observe(images, condition),
            "elbo": lambda: family.elbo(images, condition).negative_elbo,
            "log_likelihood": lambda: family.log_likelihood(images, 2, condition).nats,
        },
        capabilities.HasDiffusionBound: {
            "diffusion_bound": lambda: family.diffusion_bound(images, 2, condition).total,
            "flow_log_likelihood": lambda: family.flow_log_likelihood(images, 1, condition).nats,
        },
        capabilities.Translates: {"translate": lambda: family.translate(images, family.domains[0], condition)},
    }
    return {name: call for kind, named in table.items() if isinstance(family, kind) for name, call in named.items()}


# --- watching a game


@dataclass(frozen=True)
class Move:
    """One move as it was played: the batch, the state of the generator, the weights before it, and every player's gradient.

    expected: the gradient of each moving player's own loss along its own parameters, computed apart on a copy of the family;
    seen: what stood in .grad of every player's parameters when the first of the movers moved.
    """

    batch: Batch
    random_state: Tensor
    before: Mapping[str, list[Tensor]]
    expected: Mapping[str, list[Tensor | None]]
    seen: dict[str, list[Tensor | None]]


class Watched:
    """A trainer whose moves are written down."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.moves: list[Move] = []
        turns = trainer.turns
        trainer.turns = tuple(replace(turn, losses=self._watch(index, turn)) for index, turn in enumerate(turns))
        for optimizer in trainer.optimizers.values():
            optimizer.step = self._watched(optimizer.step)  # type: ignore[method-assign]

    def weights(self) -> dict[str, list[Tensor]]:
        """Return a copy of every player's parameters."""
        return {name: [item.detach().clone() for item in items] for name, items in self.trainer.parameters.items()}

    def _watch(self, index: int, turn: Turn) -> Callable[[Batch], Mapping[str, Loss]]:
        def losses(batch: Batch) -> Mapping[str, Loss]:
            state = torch.get_rng_state()
            expected = self._expected(index, batch)
            torch.set_rng_state(state)
            self.moves.append(Move(batch, state, self.weights(), expected, {}))
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

    def _watched(self, step: Callable[[], None]) -> Callable[[], None]:
        def look_and_step() -> None:
            seen = self.moves[-1].seen
            if not seen:
                for name, items in self.trainer.parameters.items():
                    seen[name] = [None if item.grad is None else item.grad.clone() for item in items]
            step()

        return look_and_step


def trainable(player: nn.Module) -> list[nn.Parameter]:
    """Return a player's trainable parameters."""
    return [parameter for parameter in player.parameters() if parameter.requires_grad]


@pytest.fixture
def watch() -> Callable[[Trainer], Watched]:
    """Return a function that makes a trainer's moves visible."""
    return Watched


@pytest.fixture
def losses_of() -> Callable[[Family, Batch], dict[str, Loss]]:
    """Return a function from a family and a batch to the losses of all its turns, by `turn/player`, from a fixed stream."""

    def losses(family: Family, batch: Batch, seed: int = 0) -> dict[str, Loss]:
        reseed(seed, "test losses")
        return {
            f"{index}/{player}": loss for index, turn in enumerate(family.turns()) for player, loss in turn.losses(batch).items()
        }

    return losses

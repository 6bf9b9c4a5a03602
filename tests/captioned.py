"""Small images with captions, shared by the tests of families that accept captions, and their bit-exact resume."""

from collections.abc import Callable
from pathlib import Path

import torch

from simulacra.core.batch import Batch, DataSpec
from simulacra.core.condition import Condition
from simulacra.core.family import Family
from simulacra.core.randomness import generator
from simulacra.core.vocabulary import Vocabulary
from simulacra.engine import checkpoint
from simulacra.engine.loop import Trainer
from simulacra.engine.settings import TrainConfig

WORDS = Vocabulary(("a", "blue", "red", "seven", "two"), 3)
SPEC = DataSpec(3, 8, 8, ("2", "7"), vocabulary=WORDS)
RED, BLUE = torch.tensor([[1, 3, 4]]), torch.tensor([[1, 2, 4]])


class Captioned:
    """Random images with random captions, some of them missing: batch i is a function of i."""

    size, per_epoch = 4, 5

    def batch(self, i: int, device: torch.device | str = "cpu") -> Batch:
        source = generator(0, "test batch", i)
        tokens = torch.randint(0, 6, (4, 3), generator=source) * (torch.rand(4, 1, generator=source) < 0.8)
        return Batch(torch.rand(4, 3, 8, 8, generator=source), Condition(tokens=tokens)).to(device)


def assert_resumes_bit_for_bit(new_model: Callable[[], Family], folder: Path) -> None:
    """Ten steps give the state of four steps, a checkpoint and six steps; every model is one of the same weights."""
    settings = TrainConfig.of({"batch": 4, "duration": "10", "precision": "float32", "device": "cpu", "ema": 0.9})
    straight, first, second = (Trainer(new_model(), Captioned(), settings) for _ in range(3))
    for _ in range(10):
        straight.play()
    for _ in range(4):
        first.play()
    second.restore(checkpoint.read(checkpoint.write(folder, 4, first.state(), keep=2)))
    for _ in range(6):
        second.play()
    one, other = straight.state().tensors, second.state().tensors
    for group, tensors in one.items():
        assert all(torch.equal(value, other[group][key]) for key, value in tensors.items()), group

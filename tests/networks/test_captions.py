"""The caption encoder: a transformer in float64 as reference, padding, and every arithmetic that networks compute in."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.core.vocabulary import Vocabulary
from simulacra.networks.captions import CaptionEncoder, caption_vocabulary, no_captions

WORDS = Vocabulary(("a", "blue", "red", "seven", "two"), 4)
TOKENS = torch.tensor([[1, 3, 4, 0], [2, 5, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]])


def encoder(seed: int = 0) -> CaptionEncoder:
    torch.manual_seed(seed)
    return CaptionEncoder(WORDS, 12)


def normalized(values: Tensor, layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.LayerNorm)
    centred = values - values.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias


def reference(network: CaptionEncoder, tokens: list[int]) -> Tensor:
    """Return the vector of one caption without padding, one head and one position at a time."""
    words = [network.word.weight[word] + network.position.weight[at] for at, word in enumerate(tokens) if word]
    hidden = torch.stack([network.summary[0, 0], *words])
    blocks: Any = network.blocks
    output: Any = network.output
    for block in blocks:
        query, key, value = block.qkv(normalized(hidden, block.first)).chunk(3, 1)
        mixed = []
        for part in range(4):
            head = slice(16 * part, 16 * part + 16)
            weights = (query[:, head] @ key[:, head].T / math.sqrt(16)).softmax(1)
            mixed.append(weights @ value[:, head])
        hidden = hidden + block.mixed(torch.cat(mixed, 1))
        hidden = hidden + block.dense(normalized(hidden, block.second))
    direct = sum((network.direct.weight[word] for word in tokens if word), torch.zeros(12, dtype=hidden.dtype))
    return output[1](normalized(hidden[0], output[0])) + direct


def test_the_encoder_is_a_transformer_of_the_words_alone() -> None:
    network = encoder().double()
    expected = torch.stack([reference(network, row) for row in TOKENS.tolist()])
    torch.testing.assert_close(network(TOKENS), expected, rtol=1e-10, atol=1e-10)


def test_padding_changes_nothing_and_all_padding_is_one_learned_vector() -> None:
    network = encoder()
    torch.testing.assert_close(network(TOKENS[:1, :3]), network(TOKENS[:1]))
    missing = network(no_captions(2, torch.device("cpu")))
    torch.testing.assert_close(missing, network(torch.zeros(2, 4, dtype=torch.int64)))
    network(TOKENS).pow(2).sum().backward()
    for table in (network.word, network.direct):
        assert table.weight.grad is not None
        assert not table.weight.grad[0].any()  # the padding
    assert network.summary.grad is not None
    assert network.summary.grad.any()


def test_words_and_their_order_matter() -> None:
    network = encoder()
    found = network(torch.tensor([[3, 4, 0, 0], [4, 3, 0, 0], [2, 4, 0, 0]]))
    assert (found[0] - found[1]).abs().max() > 1e-3
    assert (found[0] - found[2]).abs().max() > 1e-3


def test_the_encoder_computes_in_bfloat16_and_in_evaluation_mode() -> None:
    network = encoder()
    expected = network(TOKENS)
    with torch.autocast("cpu", torch.bfloat16):
        reduced = network(TOKENS)
    assert (reduced.float() - expected).abs().max() < 0.05  # 8 bits of mantissa
    assert torch.equal(network.eval()(TOKENS), expected)
    assert torch.isfinite(reduced).all()


def test_images_without_a_vocabulary_are_refused() -> None:
    assert caption_vocabulary(DataSpec(1, 8, 8), False) is None
    assert caption_vocabulary(DataSpec(1, 8, 8, vocabulary=WORDS), True) == WORDS
    assert caption_vocabulary(DataSpec(1, 8, 8, vocabulary=WORDS), False) is None
    with pytest.raises(UsageError, match=r"add a column 'text' to their metadata\.jsonl, or leave --captions out"):
        caption_vocabulary(DataSpec(1, 8, 8), True)

"""Captions of conditional models: their vocabulary, and a small transformer that maps them to vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simulacra.core.batch import DataSpec
from simulacra.core.errors import UsageError
from simulacra.core.vocabulary import PADDING, Vocabulary
from simulacra.networks.mlp import dense

_WIDTH, _LAYERS, _HEADS = 64, 2, 4
_SMALL = 0.02  # standard deviation of the initial summary token and positions: small, so that words dominate
_EXPANSION = 4  # width of the hidden layer of a block, over that of its input (Vaswani et al. 2017, section 3.3)


def caption_vocabulary(data: DataSpec, captions: bool) -> Vocabulary | None:
    """Return the vocabulary of a model, None if it is not conditional on captions; raises UsageError for images without one."""
    if captions and data.vocabulary is None:
        held = "captions of at most 1,000 different words, and these have none"
        advice = "add a column 'text' to their metadata.jsonl, or leave --captions out"
        raise UsageError(f"a model of captions needs images with {held}: {advice}")
    return data.vocabulary if captions else None


def no_captions(count: int, device: torch.device) -> Tensor:
    """Return tokens that stand for no caption: int64 [count 1] of padding."""
    return torch.full((count, 1), PADDING, dtype=torch.int64, device=device)


def drop_captions(tokens: Tensor, probability: float) -> Tensor:
    """Return captions int64 [b t] of which each is replaced by padding with a probability (Ho & Salimans 2022, algorithm 1)."""
    dropped = torch.rand(len(tokens), device=tokens.device) < probability
    return tokens.masked_fill(dropped[:, None], PADDING)


class CaptionEncoder(nn.Module):
    """Maps captions int64 [b t] to vectors [b features]: the sum of the words' embeddings, and the output of a transformer.

    The transformer has two layers, 64 wide, and no dropout. Its inputs are a learned summary token and the words, each the sum of
    the embeddings of the word and of its position (Vaswani et al. 2017; normalization before each block as in Xiong et al. 2020);
    its output is computed from the summary token. It alone depends on the order of the words. Padding is ignored, so that it does
    not change the output; a caption that is all padding gives a learned vector.

    The sum, of one N(0, 1) row for each word as for a class, is there because a transformer alone, whose weights all words share,
    forgets words of little influence on the loss early in the training of a denoiser: hues are learned, and digits are not.
    """

    def __init__(self, vocabulary: Vocabulary, features: int) -> None:
        super().__init__()
        self.word = nn.Embedding(len(vocabulary.words) + 1, _WIDTH)  # the row of the padding is never attended to
        self.position = nn.Embedding(vocabulary.longest, _WIDTH)
        nn.init.normal_(self.position.weight, std=_SMALL)
        self.summary = nn.Parameter(_SMALL * torch.randn(1, 1, _WIDTH))
        self.blocks = nn.ModuleList([_Block() for _ in range(_LAYERS)])
        self.output = nn.Sequential(nn.LayerNorm(_WIDTH), dense(_WIDTH, features))
        self.direct = nn.Embedding(len(vocabulary.words) + 1, features)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the vectors [b features] of captions: int64 [b t], 0 for padding, t at most the longest of the vocabulary."""
        words = self.word(tokens) + self.position.weight[: tokens.shape[1]]
        hidden = torch.cat([self.summary.expand(len(tokens), -1, -1).to(words.dtype), words], 1)
        attended = F.pad(tokens != PADDING, (1, 0), value=True)[:, None, None, :]
        for block in self.blocks:
            hidden = block(hidden, attended)
        direct = (self.direct(tokens) * (tokens != PADDING)[:, :, None]).sum(1)
        vectors: Tensor = self.output(hidden[:, 0]) + direct
        return vectors


class _Block(nn.Module):
    """Self-attention and two dense layers, each with a normalization before and a residual connection around it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(_WIDTH), nn.LayerNorm(_WIDTH)
        self.qkv, self.mixed = dense(_WIDTH, 3 * _WIDTH), dense(_WIDTH, _WIDTH)
        self.dense = nn.Sequential(dense(_WIDTH, _EXPANSION * _WIDTH), nn.GELU(), dense(_EXPANSION * _WIDTH, _WIDTH))

    def forward(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Return [b t width] of [b t width]; attended: bool [b 1 1 t], the positions that all positions attend to."""
        heads = self.qkv(self.first(hidden)).unflatten(2, (3, _HEADS, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)  # [b heads t width/heads]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attended)
        hidden = hidden + self.mixed(mixed.transpose(1, 2).flatten(2))
        return hidden + self.dense(self.second(hidden))

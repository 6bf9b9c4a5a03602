"""Combinations of two attributes that are left out of training, to test whether a model generates what it has not seen."""

import numpy as np
from numpy.typing import NDArray

from simulacra.core.errors import UsageError
from simulacra.core.randomness import permutation

_SEED = 0  # not the run's seed: all runs leave out the same combinations

Numbers = NDArray[np.int64]


def leave_out(order: Numbers, train: int, labels: Numbers | None, count: int, name: str) -> tuple[Numbers, int, int]:
    """Return an order in which training images of some combinations follow the others, and the numbers of both.

    order: int64 [n], the first `train` for training; labels: int64 [n k], by image, of k attributes; count: how many combinations
    of the first two attributes; name: of the data set. The order of all other images is unchanged. Raises UsageError for data
    without two attributes, and where fewer combinations can be left out.
    """
    if count == 0:
        return order, train, 0
    if labels is None or labels.ndim != 2:
        held = "no labels" if labels is None else "one label for each image"
        raise UsageError(f"--hold-out leaves out combinations of two attributes, and {name} has {held}: leave --hold-out out")
    pairs = labels[order[:train], :2]
    if pairs.min(initial=0) < 0:
        raise UsageError(f"--hold-out needs the attributes of all validation images, and those of {name} have none: leave it out")
    left = chosen_combinations(pairs, count)
    if len(left) < count:
        more = f"only {len(left)} combinations can be left out so that every value still occurs"
        raise UsageError(f"--hold-out is {count}, and of {name} {more}: give at most {len(left)}")
    values = pairs.max() + 1
    out = np.isin(pairs @ [values, 1], left @ [values, 1])
    return np.concatenate([order[:train][~out], order[:train][out], order[train:]]), int((~out).sum()), int(out.sum())


def chosen_combinations(pairs: Numbers, count: int) -> Numbers:
    """Return up to `count` of the combinations that occur among pairs of numbers int64 [n 2]: int64 [m 2], m <= count.

    They are chosen in a fixed random order, from values with the fewest combinations chosen so far, so that they are spread
    evenly over the values of both attributes. Every value keeps at least one combination that occurs.
    """
    found = np.unique(pairs, axis=0)
    found = found[permutation(len(found), _SEED, "combinations")]
    kept = [np.bincount(column) for column in found.T]  # combinations left of each value, for both attributes
    taken = [np.zeros_like(numbers) for numbers in kept]
    free, chosen = np.ones(len(found), bool), list[int]()
    while len(chosen) < count:
        left, used = (np.stack([side[column] for side, column in zip(sides, found.T, strict=True)]) for sides in (kept, taken))
        free &= (left > 1).all(0)
        if not free.any():
            break
        load = used.max(0) * (2 * len(found)) + used.sum(0)
        at = int(np.where(free, load, load.max() + 1).argmin())
        free[at] = False
        chosen.append(at)
        for side, value in enumerate(found[at]):
            kept[side][value] -= 1
            taken[side][value] += 1
    return found[chosen]

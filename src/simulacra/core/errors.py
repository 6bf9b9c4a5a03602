"""Errors that a user can correct: what was got, what was expected, what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class SimulacraError(Exception):
    """A failure with advice for the user. Exit code 1."""

    exit_code = 1


class UsageError(SimulacraError):
    """The request itself is wrong: an unknown name, flag or value. Exit code 2."""

    exit_code = 2


class DataError(SimulacraError):
    """Data that cannot be found or read, or are invalid."""


class NonFiniteError(SimulacraError):
    """A value that is infinite or NaN: a loss, weights, or what a model computes."""


class NotApplicable(UsageError):
    """The model lacks a capability that a task needs."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not known, with the nearest valid one.

    >>> print(unknown("family", "vea", ["vae", "autoencoder"]))
    unknown family 'vea': did you mean 'vae'? Known: autoencoder, vae
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}:{hint} Known: {', '.join(names) or 'none'}")

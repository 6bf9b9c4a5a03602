"""Which settings apply to a model: a setting that needs a capability or labels is refused by name where the model lacks it."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from simulacra.core.capabilities import Capability, Need, supports
from simulacra.core.condition import AcceptsCondition, in_words
from simulacra.core.errors import NotApplicable
from simulacra.core.pointer import explained_by

Requirement = type[Capability] | Need[Any] | str
"""What a setting or an application needs of a model: a capability, or the name of a field of its condition, such as labels."""


def missing(model: AcceptsCondition | type, requirements: tuple[Requirement, ...]) -> str:
    """Return why none of some requirements is met by a model, in words; empty where one is met, or where there are none.

    Of a class of models, which has no settings, any field of a condition counts as accepted.
    """

    def meets(requirement: Requirement) -> bool:
        if isinstance(requirement, str):
            return isinstance(model, type) or requirement in model.accepts
        return supports(model, requirement)

    if not requirements or any(map(meets, requirements)):
        return ""
    fields = [item for item in requirements if isinstance(item, str)]
    phrases = [item.phrase for item in requirements if not isinstance(item, str)]
    return f"it takes no {in_words(fields[:1])}" if fields else f"it needs {' or '.join(phrases)}"


def absence(requirement: Requirement) -> str:
    """Return in words that a family lacks a requirement.

    >>> from simulacra.core.capabilities import HasLikelihood, Samples
    >>> absence(HasLikelihood), absence(Samples), absence("labels")
    ('this family has no likelihood', 'this family has no generator of images from noise', 'this model takes no labels')
    """
    if isinstance(requirement, str):
        return f"this model takes no {in_words((requirement,))}"
    return f"this family has no {re.sub('^an? ', '', requirement.phrase)}"


def inapplicable(model: AcceptsCondition, needs: Mapping[str, tuple[Requirement, ...]]) -> dict[str, str]:
    """Return the settings that do not apply to a model, by name, each with the reason."""
    reasons = {name: missing(model, requirements) for name, requirements in needs.items()}
    return {name: reason for name, reason in reasons.items() if reason}


def require_applicable(model: AcceptsCondition, given: Collection[str], needs: Mapping[str, tuple[Requirement, ...]]) -> None:
    """Raise NotApplicable, with name and reason, where a setting is given that does not apply to the model."""
    for name, reason in inapplicable(model, needs).items():
        if name in given:
            flag = name.replace("_", "-")
            raise NotApplicable(
                explained_by(f"--{flag} does not apply to this {type(model).__name__}: {reason}. Leave it out", flag)
            )

"""Sample sizes: below one, a number is refused with an error; below another, its protocol contains a note."""

from typing import Any

from simulacra.core.errors import UsageError


def require(metric: str, what: str, count: int, least: int, remedy: str) -> None:
    """Raise UsageError where there are fewer than `least` samples; `remedy` completes the message.

    >>> require("kernel_distance", "generated images", 50, 100, "generate more")
    Traceback (most recent call last):
    simulacra.core.errors.UsageError: kernel_distance of 50 generated images: at least 100 are needed. Generate more
    """
    if count < least:
        message = f"{metric} of {count:,} {what}: at least {least:,} are needed. {remedy[:1].upper()}{remedy[1:]}"
        raise UsageError(message)


def flagged(count: int, enough: int, consequence: str) -> dict[str, Any]:
    """Return the note of a protocol on a sample that is too small, with its consequence; empty where it is large enough.

    >>> flagged(500, 1000, "noisy"), flagged(1000, 1000, "noisy")
    ({'few_samples': '500 of 1,000: noisy'}, {})
    """
    return {"few_samples": f"{count:,} of {enough:,}: {consequence}"} if count < enough else {}

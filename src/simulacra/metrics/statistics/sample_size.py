"""How many samples a number needs: below one count it is refused, below another it says so (trap 17)."""

from typing import Any

from simulacra.core.errors import UsageError


def require(metric: str, what: str, count: int, least: int, remedy: str) -> None:
    """Raise UsageError where there are fewer than `least` of something.

    >>> require("kernel_distance", "generated images", 50, 100, "draw more")
    Traceback (most recent call last):
    simulacra.core.errors.UsageError: kernel_distance of 50 generated images: at least 100 are needed. Draw more
    """
    if count < least:
        message = f"{metric} of {count:,} {what}: at least {least:,} are needed. {remedy[:1].upper()}{remedy[1:]}"
        raise UsageError(message)


def flagged(count: int, enough: int, consequence: str) -> dict[str, Any]:
    """Return what the protocol says about a count that is too small to be taken at face value; nothing where it is enough.

    >>> flagged(500, 1000, "noisy"), flagged(1000, 1000, "noisy")
    ({'few_samples': '500 of 1,000: noisy'}, {})
    """
    return {"few_samples": f"{count:,} of {enough:,}: {consequence}"} if count < enough else {}

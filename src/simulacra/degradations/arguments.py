"""Arguments of operators: numbers in a range, from the text after the name."""


def number(text: str, meaning: str, low: float, high: float, example: str) -> float:
    """Return the number that a text gives, in [low, high].

    Raises ValueError, which names the meaning of the number, its range, and what to write instead.
    """
    expected = f"expected a number from {low:g} to {high:g}: write {example}"
    if not text:
        raise ValueError(f"it gives no {meaning}, {expected}")
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"the {meaning} is {text!r}, {expected}") from None
    if not low <= value <= high:
        raise ValueError(f"the {meaning} is {text}, {expected}")
    return value


def no_argument(text: str, name: str) -> None:
    """Raise ValueError for an argument where none is taken."""
    if text:
        raise ValueError(f"it takes no argument: write {name}")

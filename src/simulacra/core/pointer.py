"""The end of a message that names the command which explains it."""


def explained_by(message: str, topic: str) -> str:
    """Return a message with the command that explains its topic.

    >>> explained_by("mode collapse since step 600", "mode collapse")
    'mode collapse since step 600 (simulacra explain mode-collapse)'
    """
    return f"{message} (simulacra explain {topic.lower().replace(' ', '-')})"

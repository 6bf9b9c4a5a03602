"""A Progress that remembers what it was told."""

from simulacra.core.progress import Silent


class Listener(Silent):
    """Remembers every line."""

    def __init__(self):
        self.said: list[str] = []

    def message(self, message):
        """Remember one line."""
        self.said.append(message)

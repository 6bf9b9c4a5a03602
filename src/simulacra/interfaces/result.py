"""Results of the Python API: the dictionaries that the command line prints as JSON, displayed as its text."""

from collections.abc import Mapping
from typing import Any

from simulacra.interfaces.display.notebook import html_of


class Result(dict[str, Any]):
    """The JSON content of a command's result, whose representation is the text that the command prints."""

    def __init__(self, content: Mapping[str, Any], text: str) -> None:
        super().__init__(content)
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return html_of(self.text)

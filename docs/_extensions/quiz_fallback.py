"""The directive `quiz` where the extension with interactive quizzes is missing: the command that asks the questions."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Quiz(SphinxDirective):
    """The command of a quiz."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a paragraph."""
        command = nodes.literal(text=f"simulacra quiz {self.arguments[0]}")
        return [nodes.paragraph("", "", nodes.Text("Run "), command, nodes.Text(" to answer the questions in the terminal."))]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("quiz", Quiz)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

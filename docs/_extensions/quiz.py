"""The directive `{quiz} NAME`: the interactive quiz of a page in HTML, and in other builders the command that asks it."""

from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.writers.html5 import HTML5Translator

from simulacra import quizzes
from simulacra.core.errors import SimulacraError
from simulacra.quizzes.page import Link, fragment
from simulacra.quizzes.quiz import Quiz


class QuizNode(nodes.General, nodes.Element):
    """The quiz `name`; written when all headings are known, because each question links its section."""


class QuizDirective(SphinxDirective):
    """Insert a quiz; its one argument is its name."""

    required_arguments = 1
    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Return the node; an unknown name or a file that is not valid is an error of the page."""
        name = self.arguments[0]
        try:
            quizzes.find(name)
        except SimulacraError as error:
            raise self.error(str(error)) from None
        self.env.note_dependency(quizzes.FOLDER / f"{name}.toml")
        return [QuizNode("", name=name, docname=self.env.docname)]


def _write_html(writer: HTML5Translator, node: QuizNode) -> None:
    quiz = quizzes.find(node["name"])
    identity = f"quiz-{quiz.name}"
    writer.body.append(
        fragment(
            quiz.name,
            quiz.title,
            quiz.questions,
            quiz.page,
            link=_links(writer.builder, quiz, node["docname"]),
            identity=identity,
        )
    )
    raise nodes.SkipNode


def _write_text(writer: Any, node: QuizNode) -> None:
    """Write the command: builders other than HTML have no scripts."""
    writer.visit_paragraph(nodes.paragraph())
    writer.visit_Text(nodes.Text(f"Quiz: run the command 'simulacra quiz {node['name']}'."))
    writer.depart_paragraph(nodes.paragraph())
    raise nodes.SkipNode


def _links(builder: Any, quiz: Quiz, docname: str) -> Link:
    """Return what finds the address of a section from a page, and its title, by its anchor as GitHub makes it."""
    sections = builder.env.metadata.get(quiz.page, {}).get("myst_slugs", {})
    page = "" if docname == quiz.page else builder.get_relative_uri(docname, quiz.page)

    def link(anchor: str) -> tuple[str, str]:
        _, identifier, title = sections.get(anchor, (0, anchor, anchor.replace("-", " ")))
        return f"{page}#{identifier}", title

    return link


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    text = (_write_text, None)
    app.add_node(QuizNode, html=(_write_html, None), latex=text, text=text, man=text, texinfo=text)
    app.add_directive("quiz", QuizDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

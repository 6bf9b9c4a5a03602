"""The quiz of one page."""

from dataclasses import dataclass

from simulacra.quizzes.page import fragment
from simulacra.quizzes.question import Question


@dataclass(frozen=True, repr=False)
class Quiz:
    """The questions of one page. Notebooks display it as cards to answer.

    name: of its file; page: path below docs/ without .md; title: of the page.
    """

    name: str
    page: str
    title: str
    questions: tuple[Question, ...]

    def __repr__(self) -> str:
        return (
            f"<quiz {self.name!r}: {len(self.questions)} questions on '{self.title}'; in a terminal: simulacra quiz {self.name}>"
        )

    def _repr_html_(self) -> str:
        return fragment(self.name, self.title, self.questions, self.page)

    def about(self, question: Question) -> str:
        """Return the section that a question tests, as a file of the documentation and an anchor."""
        return f"docs/{self.page}.md#{question.section}"

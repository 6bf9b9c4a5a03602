"""Pages: one HTML file each, from a template beside this file, that needs nothing else."""

from collections.abc import Mapping
from typing import Any


def page(template: str, content: Mapping[str, Any]) -> str:
    """Return a page; whatever stands in the content is shown as text, and a name that is missing raises an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("simulacra", "reports/templates")
    place = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return place.get_template(template).render(content)

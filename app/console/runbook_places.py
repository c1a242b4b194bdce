"""Places of the runbook, a page or a section of one, as an incident and its actions name them: by title and address."""

from functools import cache

from app.console.runbook_html import address
from app.oncall.runbook.pages import FORM, Section, read

CONTAIN = "Contain"


def place_at(place: str) -> str:
    """The address of a place in the runbook."""
    return address(*place.split("#", 1))


def title_of(place: str) -> str:
    """A place's title, with its page's where it is another: ``An objective is being missed: Availability``."""
    page, section = found_at(place)
    if page is None:
        return place
    return page if section is None or section.title in (page, CONTAIN) else f"{page}: {section.title}"


@cache
def found_at(place: str) -> tuple[str | None, Section | None]:
    """The title of a place's page, and its section: of a whole page, or of one of its steps, the one that contains. Read once."""
    name, _, anchor = place.partition("#")
    page = next((one for one in read() if one.name == f"{name}.md"), None)
    if page is None:
        return None, None
    own = (one for one in page.sections if anchor and one.anchor == anchor and one.level > 1 and one.title not in FORM)
    contains = (one for one in page.sections if one.title == CONTAIN)
    return page.title, next(own, None) or next(contains, None)

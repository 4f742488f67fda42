"""`report.html`: one page with everything of a run; see `farm.report.html.page`."""

from __future__ import annotations

from farm.model.run import RunRecord


class HtmlReport:
    """Writes the page. More devices, cases, tasks or files than a page can hold are left out, and it says so."""

    name = "html"
    filename = "report.html"

    def write(self, record: RunRecord) -> str:
        """The whole page, below 1.5 MB."""
        from farm.report.html.page import page  # jinja2, which no other command should wait for

        return page(record)

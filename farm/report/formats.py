"""Every report format, in the order they are offered."""

from __future__ import annotations

from farm.report.html.report import HtmlReport
from farm.report.json_report import JsonReport
from farm.report.junit.report import JunitReport
from farm.report.protocol import Reporter
from farm.report.run.markdown import MarkdownReport

FORMATS: dict[str, Reporter] = {
    reporter.name: reporter for reporter in (JsonReport(), JunitReport(), MarkdownReport(), HtmlReport())
}

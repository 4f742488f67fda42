"""Every report format, in the order they are offered."""

from __future__ import annotations

from farm.report.html import HtmlReport
from farm.report.json_report import JsonReport
from farm.report.junit import JunitReport
from farm.report.markdown import MarkdownReport
from farm.report.protocol import Reporter

FORMATS: dict[str, Reporter] = {
    reporter.name: reporter for reporter in (JsonReport(), JunitReport(), MarkdownReport(), HtmlReport())
}

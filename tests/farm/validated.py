"""What `farm run` does with a request: its names become objects, and then it is validated."""

from __future__ import annotations

from farm.execution.observer import Observer
from farm.execution.session import SessionOptions
from farm.model.run import RunRecord, RunRequest
from farm.validation import workflow


def run(
    request: RunRequest,
    options: SessionOptions | None = None,
    observer: Observer | None = None,
    resumed: RunRecord | None = None,
) -> RunRecord:
    options = options or SessionOptions()
    return workflow.run(workflow.resolve(request, options), options, observer, resumed)

"""The API put together. A new noun is a file beside this one, and one line here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, FastAPI, Request
from sqlalchemy import Engine

from ci.api import audit_log, deliveries, devices, files, job_logs, jobs, problems, runs
from ci.api.access import READER, ApiContext
from ci.config.settings import Config

PREFIX = "/api/v1"


def install(app: FastAPI, config: Config, engine: Engine) -> None:
    """Add the API to `app`."""
    app.state.gate = ApiContext(config, engine)
    problems.install(app)
    api = APIRouter(prefix=PREFIX, responses=problems.RESPONSES)
    for part in (runs, files, jobs, job_logs, devices, deliveries, audit_log):
        api.include_router(part.router)

    @api.get("/openapi.json", include_in_schema=False, dependencies=[READER])
    def document(request: Request) -> dict[str, Any]:
        served: FastAPI = request.app
        return served.openapi()

    app.include_router(api)

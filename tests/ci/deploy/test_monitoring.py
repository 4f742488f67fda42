"""The alert rules and the dashboard against what the service exports, and against promtool where that is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ci.forge.traffic import ForgeTraffic
from ci.server.metrics import Metrics
from ci.store.engine import open_database

ROOT = Path(__file__).parents[3]
PLACE = ROOT / "ci" / "deploy" / "monitoring"
RULES = PLACE / "alerts.yaml"
OF_PROMETHEUS = {"up"}
NAME = re.compile(r"\b((?:farm|process)_[a-z0-9_]+|up)\b")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",), "info": ("_info",)}

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


class Talkative:
    """A forge that says how many requests it still answers."""

    def __init__(self) -> None:
        self.traffic = ForgeTraffic()
        self.traffic.answered(200, {"x-ratelimit-remaining": "4999", "x-ratelimit-limit": "5000"})


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What the service exports."""
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.sqlite'}", print)
    forge: Any = Talkative()
    metrics = Metrics(engine, {"github": forge})
    metrics.answered(202, 0.01)
    metrics.requested("GET", "/jobs", 200, 0.01)
    yield metrics.text().decode()
    engine.dispose()


@pytest.fixture(scope="module")
def exported(text: str) -> set[str]:
    """The names of all series."""
    families = [each for each in text_string_to_metric_families(text) if not each.name.endswith("_created")]
    return {f"{each.name}{suffix}" for each in families for suffix in SUFFIXES[each.type]}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((PLACE / "grafana-dashboard.json").read_text())["panels"]
    return found


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [
        target["expr"] for panel in panels() for target in panel.get("targets", ())
    ]


def promtool(*words: str, sent: str = "") -> str:
    done = subprocess.run(["promtool", *words], input=sent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("expression", expressions())
def test_rules_and_dashboard_use_what_the_service_exports(expression: str, exported: set[str]) -> None:
    names = set(NAME.findall(expression)) - OF_PROMETHEUS

    assert names - exported == set()
    assert names or "up{" in expression


def test_every_metric_is_documented(exported: set[str]) -> None:
    page = (ROOT / "docs" / "operator" / "service.md").read_text()
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported if name.startswith("farm_")}

    assert {name for name in names if f"`{name}" not in page} == set()


def test_every_rule_says_what_to_do_and_how_urgent_it_is() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
        assert set(rule["annotations"]) == {"summary", "description"}, rule


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels():
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24 and (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[x, y] = panel["title"]
    assert len({panel["id"] for panel in panels()}) == len(panels())


@needs_promtool
def test_promtool_accepts_rules_and_expressions(tmp_path: Path) -> None:
    recorded = [{"record": f"x:{number}", "expr": each} for number, each in enumerate(expressions())]
    (tmp_path / "dashboard.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))

    assert "SUCCESS" in promtool("check", "rules", str(RULES))
    assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "dashboard.yaml"))


@needs_promtool
def test_promtool_has_nothing_against_the_metrics(text: str) -> None:
    assert promtool("check", "metrics", sent=text) == ""


@needs_promtool
def test_alerts_fire_where_they_should_and_nowhere_else(tmp_path: Path) -> None:
    quiet = {"farm_jobs_errored_in_a_row": 2, 'farm_devices_usable{platform="a2a3"}': 1}
    kernel = 'kernel="k",case="c",platform="p"'
    held = {f"farm_kernel_median_seconds{{{kernel}}}": 9, f'farm_kernel_budget_seconds{{{kernel},limit="ceiling"}}': 10}
    loud = {
        "FarmJobsErrorInARow": {"farm_jobs_errored_in_a_row": 3},
        "FarmNoUsableDevice": {'farm_devices_usable{platform="a2a3"}': 0},
        "FarmForgeRateLimitLow": {
            'farm_forge_rate_limit_remaining{forge="github"}': 400,
            'farm_forge_rate_limit{forge="github"}': 5000,
        },
        "FarmKernelOverBudget": {**held, f"farm_kernel_median_seconds{{{kernel}}}": 11},
    }
    cases = [({**quiet, **held}, name, False) for name in loud] + [
        (series, name, True) for name, series in loud.items()
    ]
    tests = []
    for series, name, fires in cases:
        input_series = [{"series": each, "values": f"{value}x30"} for each, value in series.items()]
        query: dict[str, Any] = {"expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})', "eval_time": "20m"}
        query["exp_samples"] = [{"labels": "{}", "value": 1}] if fires else []
        tests.append({"interval": "1m", "input_series": input_series, "promql_expr_test": [query]})
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))

    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "tests.yaml"))

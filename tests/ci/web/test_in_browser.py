"""The pages as people have them: in Chromium, over a store with something in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select, update

from benchmarks.pages_store import seed
from ci.api import tokens
from ci.store.states import JobState, Scope
from ci.store.tables import JOB
from farm.model import progress
from farm.model.audit import Actor, AuditAction
from farm.model.device_health import DeviceState
from farm.model.progress import Progress
from farm.model.run import RunRecord, Verdict
from farm.model.sweep import SweepPlan, SweepRecord
from farm.store import audit_log
from farm.store.run_store import Store
from farm.store.tables import DEVICE, RUN
from jobs.records import TrialStatus
from tests.browser import COLOURS, PATIENCE_MS, Tab, tab
from tests.ci.web.site import Site
from tests.fakes.served import served
from tests.farm import samples, sweep_samples
from tests.waiting import came_true

pytestmark = pytest.mark.service

expect.set_options(timeout=PATIENCE_MS)

TOOK_OVER = "window.owned = 1"
HOSTILE = f"\"'><img src=x onerror='{TOOK_OVER}'><script>{TOOK_OVER}</script>{{{{7*7}}}}\u202e"
SHOWN = "<img src=x onerror="
TRIALS = 5_000  # of some days
# What has to be read without scrolling sideways, and is not: cells of lists, cards, tiles.
TEXT = "each => each.textContent.trim().slice(0, 60)"
WIDTH = "document.documentElement.scrollWidth"
OUTSIDE = f"""[...document.querySelectorAll('table.list td, table.list th, .card a, .card p, .tile a')]
    .filter(each => each.offsetParent && !each.closest('thead') && each.getBoundingClientRect().right > 376)
    .map({TEXT})"""
DEVICE_PAGE = "/devices/a2a3/npu-3/5"


class Place(Site):
    """A site that is served, with one run of each kind."""

    url: str
    ended: str
    before: str  # another of the same case
    running: str
    job: str
    sweep: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    directory = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARM_HOME", str(directory / "home"))
        place = Place(directory)
    ids = seed(place.engine, TRIALS, directory / "runs", newest=6)
    place.before, place.ended, place.running = ids[-9], ids[-5], ids[-2]
    logs = directory / "runs" / place.running / "logs"
    logs.mkdir(parents=True)
    (logs / "trial.log").write_text("first line\n")
    words = {
        "subject": "a2a3/" + "n" * 90,
        "detail": "d" * 120,
        "outcome": "refused: " + "r" * 120,
    }  # that nothing breaks
    audit_log.note_alone(place.engine, Actor("token " + "t" * 64, "::1"), AuditAction.QUARANTINED, **words)
    place.sweep = keep(directory / "sweeps", sweep_samples.one_bad())
    with place.engine.connect() as connection:
        place.job = str(connection.execute(select(JOB.c.id).where(JOB.c.run_id == place.running)).scalar_one())
    with served(place.app) as place.url:
        yield place
    place.engine.dispose()


def token(place: Place, *scopes: Scope) -> str:
    return tokens.create(place.engine, f"b{len(tokens.list_tokens(place.engine))}", scopes or tuple(Scope))


@pytest.fixture
def open_tab(place: Place, browser: Browser) -> Iterator[Tab]:
    with tab(browser, place.url) as opened:
        opened.sign_in(token(place))
        yield opened


def keep(directory: Path, record: SweepRecord) -> str:
    """A sweep's files."""
    names = ("sweep_id", "started_at", "request", "clock", "commit", "toolchain", "addresses", "outputs")
    told = {name: getattr(record, name) for name in names}
    plan = SweepPlan.model_validate({**told, "noisy": False, "devices": record.planned, "quarantined": []})
    (directory / record.sweep_id).mkdir(parents=True)
    (directory / record.sweep_id / "plan.json").write_text(plan.model_dump_json())
    (directory / record.sweep_id / "sweep.json").write_text(record.model_dump_json())
    return record.sweep_id


def pages(place: Place) -> list[str]:
    return [
        "/",
        "/runs",
        f"/runs/{place.ended}",
        f"/runs/{place.running}",
        f"/runs/{place.running}/logs/logs/trial.log",
        "/jobs",
        f"/jobs/{place.job}",
        f"/jobs/{place.job}/log",
        "/kernels",
        "/kernels/qkv_proj_rope?platform=a2a3&case=flash-s2",
        "/devices",
        DEVICE_PAGE,
        "/nights",
        f"/nights/{place.sweep}",
        f"/compare?a={place.ended}&b={place.before}",
        "/suites",
        "/suites?profile=pypto-lib",
        "/audit",
        "/jobs?state=queued",
        "/nothing",
    ]


def test_every_page_is_fit_for_everybody_and_asks_nobody_else(place: Place, browser: Browser) -> None:
    """Each page once: light, then dark, then on a small screen, where it scrolls in one direction only."""
    with tab(browser, place.url) as opened:
        opened.go("/sign-in")
        unfair = {"/sign-in": flaws(opened)}
        opened.sign_in(token(place))
        for path in pages(place):
            answer = opened.go(path)
            opened.drawn()
            unfair[path] = flaws(opened)
            if path == "/nothing":
                assert answer.status == 404
                opened.complaints.clear()  # the browser's own word on the 404
            else:
                assert answer.status == 200, path
            assert opened.complaints == [], path

    assert {path: found for path, found in unfair.items() if found} == {}
    assert opened.elsewhere == []


def flaws(opened: Tab) -> list[str]:
    """What is wrong with the page as it is now, for whom ever it is shown to."""
    found = opened.unfair()
    opened.turn("dark")
    found += [f"dark: {each}" for each in opened.unfair(*COLOURS)]
    opened.page.set_viewport_size({"width": 375, "height": 800})
    if opened.page.locator("table.list").count():
        found += [f"dark and small: {each}" for each in opened.unfair(*COLOURS)]
        nameless = "each => getComputedStyle(each, '::before').content.length <= 2"
        cells = opened.page.locator("table.list tbody td")
        found += [
            f"{each} has no name" for each in cells.evaluate_all(f"cells => cells.filter({nameless}).map({TEXT})")
        ]
    # Charts are drawn again a moment after the window has another size.
    came_true(lambda: opened.page.evaluate(WIDTH) <= 375 and not opened.page.evaluate(OUTSIDE), 20.0)
    wide = opened.page.evaluate(WIDTH)
    found += [f"small: it is {wide} wide"] if wide > 375 else []
    found += [f"small: {each} is outside" for each in opened.page.evaluate(OUTSIDE)]
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    opened.turn("light")
    return found


def test_a_page_that_is_opened_on_a_small_screen_in_the_dark_is_drawn_for_it(place: Place, browser: Browser) -> None:
    with tab(browser, place.url, "dark") as opened:
        opened.sign_in(token(place))
        opened.page.set_viewport_size({"width": 375, "height": 800})
        opened.go("/kernels/qkv_proj_rope?platform=a2a3&case=flash-s2")
        opened.drawn()
        opened.turn("dark")

        assert opened.unfair(*COLOURS) == []
        assert opened.page.evaluate(WIDTH) <= 375


def test_a_list_on_a_small_screen_names_each_cell(place: Place, open_tab: Tab) -> None:
    open_tab.page.set_viewport_size({"width": 375, "height": 800})
    open_tab.go("/jobs")
    named = "each => getComputedStyle(each, '::before').content.length > 2"
    cells = open_tab.page.locator("table.list tbody td")

    assert cells.count() > 0 and cells.evaluate_all(f"cells => cells.every({named})")


def test_the_keyboard_is_enough(place: Place, browser: Browser) -> None:
    with tab(browser, place.url) as opened:
        page = opened.page
        opened.go(f"/sign-in?next={DEVICE_PAGE}")
        page.keyboard.type(token(place))  # the field has the focus
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="npu-3/5").wait_for()
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "reason":
                break
        page.keyboard.type("loud fan")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Release")).to_be_visible()

    health = Store(place.engine).device_health("a2a3", "npu-3/5")
    assert health is not None and (health.state, health.why[:8]) == (DeviceState.QUARANTINED, "loud fan")


def test_runs_are_searched_with_the_keyboard_alone(place: Place, open_tab: Tab) -> None:
    page = open_tab.page
    open_tab.go("/runs")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "text":
            break
    page.keyboard.type("grace #7")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{place.url}/runs?text=grace+%237&kernel=&platform=&verdict=")
    found = page.locator("tbody tr td:nth-child(7)").all_inner_texts()

    assert found and set(found) == {"pull/7 of grace"}
    assert open_tab.complaints == []


def test_a_running_run_moves_on_an_open_page_and_ends_there(place: Place, open_tab: Tab) -> None:
    page = open_tab.page
    store = Store(place.engine)
    record = samples.running("20990101-000000-moving", directory=str(place.directory / "runs" / "moving"))
    store.begin(record)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_tab.go(f"/runs/{record.run_id}")
    expect(page.locator("main")).to_contain_text("0 of 9 trials")
    page.evaluate("window.same = true")

    store.save_trials(record.run_id, [samples.trial(record.devices[0].id, repeat) for repeat in range(2)])
    expect(page.locator("main")).to_contain_text("2 of 9 trials")
    expect(page.locator("main")).to_contain_text("left")
    noted = Progress(extra=3, stages={record.devices[1].id: "golden"})
    Path(record.directory).mkdir(parents=True)
    (Path(record.directory) / progress.NAME).write_text(noted.model_dump_json())
    expect(page.locator("main")).to_contain_text("2 of 12 trials")
    expect(page.get_by_role("row", name=record.devices[1].id)).to_contain_text("golden")
    assert page.evaluate("window.same") is True
    assert len([url for url in asked if url.endswith("/live")]) == 1  # one stream, not one question after another

    store.finish(samples.run(run_id=record.run_id, started_at=record.started_at, verdict=Verdict.FAILED, reason="slow"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("failed")
    assert page.evaluate("window.same") is None
    assert open_tab.complaints == []


def test_a_log_follows_as_text(place: Place, open_tab: Tab) -> None:
    open_tab.go(f"/runs/{place.running}/logs/logs/trial.log")
    log = open_tab.page.locator("pre.log")
    expect(log).to_contain_text("first line")
    with (place.directory / "runs" / place.running / "logs" / "trial.log").open("a") as file:
        file.write(f"µs {HOSTILE}\n")

    expect(log).to_contain_text(f"µs \"'>{SHOWN}")
    assert open_tab.page.evaluate("window.owned") is None
    assert open_tab.complaints == []


def test_a_job_is_cancelled_and_retried_where_one_may(place: Place, browser: Browser) -> None:
    with place.engine.connect() as connection:
        queued = connection.execute(select(JOB.c.id).where(JOB.c.state == JobState.QUEUED.value)).scalars().first()
    with tab(browser, place.url) as reading:
        reading.sign_in(token(place, Scope.READ))
        reading.go(f"/jobs/{queued}")
        assert reading.page.get_by_role("button", name="Cancel").count() == 0
    with tab(browser, place.url) as opened:
        opened.sign_in(token(place))
        opened.go(f"/jobs/{queued}")
        opened.page.get_by_role("button", name="Cancel").click()
        opened.page.get_by_role("button", name="Retry").click()
        expect(opened.page.get_by_role("button", name="Cancel")).to_be_visible()
        expect(opened.page.locator("main")).to_contain_text("retried by token b")
        assert opened.page.url != f"{place.url}/jobs/{queued}"
        assert opened.complaints == []


def test_a_point_of_a_trend_leads_to_its_run(place: Place, open_tab: Tab) -> None:
    open_tab.go("/kernels/qkv_proj_rope?platform=a2a3sim&case=flash-s2")
    point = open_tab.page.locator(".scatterlayer .trace").first.locator("path.point").first
    point.wait_for()
    box = point.bounding_box()
    assert box is not None
    open_tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    open_tab.page.locator(".hoverlayer .hovertext").first.wait_for()
    open_tab.page.mouse.down()
    open_tab.page.mouse.up()
    expect(open_tab.page.get_by_role("heading", level=1)).to_contain_text("Run 20")


def test_without_scripts_runs_are_found_and_paged(place: Place, browser: Browser) -> None:
    with tab(browser, place.url, scripts=False) as opened:
        opened.page.goto(f"{place.url}/sign-in?next=/runs")
        opened.page.get_by_label("Token of the API").fill(token(place))
        opened.page.get_by_role("button", name="Sign in").click()
        opened.page.get_by_label("Platform").select_option("a2a3")
        opened.page.get_by_role("button", name="Show").click()
        assert "platform=a2a3" in opened.page.url
        opened.go("/runs?platform=")
        first = opened.page.locator("tbody th").all_inner_texts()
        opened.page.get_by_role("link", name="older").click()
        opened.page.get_by_role("link", name="newest", exact=True).wait_for()
        second = opened.page.locator("tbody th").all_inner_texts()

    assert len(first) == 50 and second and not set(first) & set(second)


def hostile_run(directory: Path) -> RunRecord:
    """A run in which everything a kernel or a pull request can write is hostile."""
    record = samples.tolerance_failure()
    finding = record.gates[0].findings[0].model_copy(update={"message": HOSTILE, "output": HOSTILE})
    gates = [record.gates[0].model_copy(update={"findings": [finding], "name": HOSTILE}), *record.gates[1:]]
    trials = [
        trial.model_copy(
            update={
                "case": HOSTILE,
                "outputs": {HOSTILE: next(iter(trial.outputs.values()))},
                "tasks": [task.model_copy(update={"stage": HOSTILE, "name": HOSTILE}) for task in trial.tasks],
            }
        )
        for trial in record.trials
        if trial.status is TrialStatus.OK
    ]
    return record.model_copy(
        update={
            "run_id": "20990102-000000-hostile",
            "started_at": "2099-01-02T00:00:00.000+00:00",
            "reason": HOSTILE,
            "kernel": HOSTILE,
            "cases": [HOSTILE],
            "commit": HOSTILE,
            "toolchain": {HOSTILE: HOSTILE},
            "builds": [samples.build(HOSTILE, tuning={HOSTILE: HOSTILE})],
            "gates": gates,
            "trials": trials,
            "median_us": samples.medians(trials),
            "budget": {HOSTILE: next(iter(record.budget.values()))},
            "directory": str(directory),
        }
    )


def test_nothing_a_pull_request_writes_becomes_markup(place: Place, open_tab: Tab) -> None:
    directory = place.directory / "runs" / "20990102-000000-hostile"
    (directory / "logs").mkdir(parents=True)
    (directory / "logs" / "<b onclick=1>.log").write_text(HOSTILE)
    record = hostile_run(directory)
    store = Store(place.engine)
    store.begin(record.model_copy(update={"verdict": None}))
    store.finish(record)
    other = record.model_copy(update={"run_id": "20990102-000001-hostile", "commit": f"x{HOSTILE}"})
    store.begin(other.model_copy(update={"verdict": None}))
    store.finish(other)
    sweep = sweep_samples.one_bad()
    found = [each.model_copy(update={"message": HOSTILE}) for each in sweep.findings]
    told = {"sweep_id": "hostile", "reason": HOSTILE, "commit": HOSTILE, "findings": found}
    keep(place.directory / "sweeps", sweep.model_copy(update=told))
    fields = dict.fromkeys(("subject", "author", "base_ref", "reason", "approved_by", "head_sha"), HOSTILE)
    with place.engine.begin() as connection:
        connection.execute(update(JOB).where(JOB.c.id == place.job).values(**fields, run_id=record.run_id))
        connection.execute(
            update(DEVICE).where(DEVICE.c.id == "npu-0/0").values(why=HOSTILE, state="suspect", soc=HOSTILE)
        )
        connection.execute(update(RUN).where(RUN.c.id == place.ended).values(reason=HOSTILE))
        audit_log.note(connection, Actor(HOSTILE, HOSTILE), AuditAction.APPROVED, HOSTILE, HOSTILE, HOSTILE)
    paths = [
        "/",
        "/runs",
        f"/runs/{record.run_id}",
        f"/runs/{record.run_id}/logs/logs/%3Cb%20onclick%3D1%3E.log",
        "/jobs",
        f"/jobs/{place.job}",
        f"/jobs/{place.job}/log",
        "/kernels",
        "/devices",
        "/devices/a2a3/npu-0/0",
        "/nights",
        "/nights/hostile",
        f"/compare?a={record.run_id}&b={other.run_id}",
        "/audit",
    ]
    for path in paths:
        assert open_tab.go(path).status == 200, path
        open_tab.drawn()
        assert open_tab.page.locator("main").inner_text().find(SHOWN) >= 0, path
        assert open_tab.page.locator("main img, main b[onclick]").count() == 0, path
        assert open_tab.page.evaluate("window.owned") is None, path
        assert open_tab.complaints == [], path  # the policy had nothing to stop

    open_tab.go("/kernels")
    open_tab.page.locator("tbody tr", has_text=SHOWN).get_by_role("link").first.click()
    open_tab.page.locator("[data-chart] svg.main-svg").first.wait_for()
    assert open_tab.page.evaluate("window.owned") is None
    answer = open_tab.go("/runs?text=%22%3E%3Cimg%20src%3Dx%20onerror%3D1%3E")
    assert answer.status == 200 and open_tab.page.locator("main img").count() == 0
    assert open_tab.complaints == [] and open_tab.elsewhere == []

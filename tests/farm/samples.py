"""Run records as the farm would make them, for tests of everything that reads one."""

from __future__ import annotations

from statistics import median
from typing import Any

from farm.model.run import (
    BaseRecord,
    BudgetRecord,
    ComparisonRecord,
    DeviceRecord,
    Finding,
    GainRecord,
    GateRecord,
    GateStatus,
    MedianRecord,
    RunRecord,
    RunRequest,
    SourceRecord,
    Verdict,
)
from jobs.records import (
    Arm,
    BuildRecord,
    Failure,
    Fault,
    OutputRecord,
    TaskRecord,
    ToleranceRecord,
    TrialRecord,
    TrialStatus,
)
from kernel.clock import Clock

CASE = "flash-s2"
OUTPUTS = ("q", "kv", "qr", "qr_scale")
STAGES = ("attn-norm", "q-proj", "rope")


def tolerance(**changes: Any) -> ToleranceRecord:
    """A passing comparison, with `changes`."""
    values: dict[str, Any] = {
        "passed": True,
        "reference": "golden",
        "outlier_share": 0.0001,
        "allowed_outlier_share": 0.005,
        "max_abs_err": 0.0078125,
        "max_rel_err": 0.03125,
        "worst_index": [3, 1, 60],
        "worst_actual": 1.5,
        "worst_expected": 1.4921875,
        "nonfinite": 0,
    }
    return ToleranceRecord(**{**values, **changes})


def output(name: str, digest: str = "", **changes: Any) -> OutputRecord:
    """One output; `digest` distinguishes its bits, `changes` go to its tolerance."""
    return OutputRecord(
        sha256=(digest or name).encode().hex().ljust(64, "0")[:64],
        shape=[128, 64, 512],
        dtype="bfloat16",
        tolerance=tolerance(**changes),
    )


def tasks() -> list[TaskRecord]:
    """Two cores, three stages, q-proj the slowest."""
    return [
        TaskRecord(name="norm", stage="attn-norm", core="AIV_0", start_us=0.0, duration_us=5.0),
        TaskRecord(name="matmul-0", stage="q-proj", core="AIC_0", start_us=5.0, duration_us=30.5),
        TaskRecord(name="matmul-1", stage="q-proj", core="AIC_0", start_us=35.5, duration_us=29.5),
        TaskRecord(name="rope", stage="rope", core="AIV_0", start_us=65.0, duration_us=11.64),
    ]


def device(index: int, node: str = "10.0.0.1") -> DeviceRecord:
    """One simulated device."""
    return DeviceRecord(
        id=f"{node}/{index}",
        node=node,
        node_id=f"ray-{node}",
        index=index,
        soc="Ascend910B1-sim",
        platform="a2a3sim",
        pid=4000 + index,
    )


def trial(device_id: str, repeat: int = 0, case: str = CASE, **changes: Any) -> TrialRecord:
    """A measured trial, with `changes`."""
    values: dict[str, Any] = {
        "case": case,
        "device": device_id,
        "repeat": repeat,
        "attempt": 0,
        "status": TrialStatus.OK,
        "clock": Clock.SIMULATED,
        "wall_us": 76.64,
        "outputs": {name: output(name) for name in OUTPUTS},
        "tasks": tasks(),
        "fingerprint": "f" * 64,
        "host_s": 4.0,
    }
    return TrialRecord(**{**values, **changes})


def lost_trial(device_id: str, repeat: int = 0, **changes: Any) -> TrialRecord:
    """A trial whose device hung."""
    failure = Failure(fault=Fault.DEVICE, kind="hang", message="no answer within 60 s")
    values: dict[str, Any] = {"status": TrialStatus.ERRORED, "wall_us": None, "outputs": {}, "tasks": []}
    return trial(device_id, repeat, **{**values, "failure": failure, **changes})


def build(case: str = CASE, **changes: Any) -> BuildRecord:
    """A build that compiled, with `changes`."""
    values: dict[str, Any] = {
        "address": "a" * 64,
        "fingerprint": "f" * 64,
        "case": case,
        "tuning": {"q_tile_k": 512, "pipeline_stages": 4},
        "cached": False,
        "build_s": 12.5,
        "predicted_us": 76.64,
        "clock": Clock.SIMULATED,
    }
    return BuildRecord(**{**values, **changes})


def gates(**statuses: GateStatus) -> list[GateRecord]:
    """The three gates, passed unless `statuses` says otherwise."""
    return [
        GateRecord(name=name, status=statuses.get(name, GateStatus.PASSED))
        for name in ("tolerance", "determinism", "budget")
    ]


def failed_gate(name: str, *findings: Finding, status: GateStatus = GateStatus.FAILED) -> list[GateRecord]:
    """The three gates, `name` among them with `status` and `findings`."""
    return [
        gate.model_copy(update={"status": status, "findings": list(findings)}) if gate.name == name else gate
        for gate in gates()
    ]


def medians(trials: list[TrialRecord]) -> dict[str, MedianRecord]:
    """What the farm would compute from `trials`."""
    found = {}
    for case in dict.fromkeys(item.case for item in trials):
        samples = [item.wall_us for item in trials if item.case == case and item.wall_us is not None]
        overall = median(samples) if samples else None
        found[case] = MedianRecord(
            clock=trials[0].clock,
            per_device={
                name: median(times)
                for name in dict.fromkeys(item.device for item in trials)
                if (times := [item.wall_us for item in trials if item.device == name and item.wall_us is not None])
            },
            overall=overall,
            mad_us=median(abs(sample - overall) for sample in samples) if overall is not None else None,
            samples=samples,
        )
    return found


def run(**changes: Any) -> RunRecord:
    """A passed run on three devices with three repeats of one case, with `changes`; medians follow the trials."""
    devices = changes.pop("devices", [device(index) for index in range(3)])
    trials = changes.pop("trials", [trial(held.id, repeat) for held in devices for repeat in range(3)])
    cases = changes.pop("cases", [CASE])
    values: dict[str, Any] = {
        "run_id": "20261123-140000-ab12cd",
        "verdict": Verdict.PASSED,
        "reason": "all gates passed",
        "kernel": "qkv_proj_rope",
        "cases": cases,
        "platform": "a2a3sim",
        "clock": Clock.SIMULATED,
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "started_at": "2026-11-23T14:00:00.000+00:00",
        "finished_at": "2026-11-23T14:00:42.000+00:00",
        "request": RunRequest(
            kernel="qkv_proj_rope",
            cases=cases,
            platform="a2a3sim",
            devices=len(devices),
            repeats=3,
            input_set="reference",
            seed=0,
        ),
        "toolchain": {"pypto": "0.2.0", "torch": "2.9.0", "python": "3.11.2"},
        "devices": devices,
        "builds": [build(case) for case in cases],
        "trials": trials,
        "gates": gates(),
        "median_us": medians(trials),
        "budget": {
            case: BudgetRecord(clock=Clock.SIMULATED, ceiling_us=90.0, ratchet_us=76.5, source="budgets.toml")
            for case in cases
        },
    }
    return RunRecord(**{**values, **changes})


def running(run_id: str = "20261123-150000-ff00ff", **changes: Any) -> RunRecord:
    """A run that has just begun."""
    nothing: dict[str, Any] = {"trials": [], "builds": [], "gates": [], "median_us": {}, "finished_at": None}
    return run(**{"run_id": run_id, "verdict": None, "reason": "running", **nothing, **changes})


def tolerance_failure() -> RunRecord:
    """A run whose second device's `q` is out of tolerance; the kernel's fault."""
    devices = [device(index) for index in range(3)]
    right = {name: output(name) for name in OUTPUTS}
    wrong = {**right, "q": output("q", passed=False, outlier_share=0.031)}
    trials = [
        trial(held.id, repeat, outputs=wrong if held.index == 1 else right) for held in devices for repeat in range(3)
    ]
    finding = Finding(
        message="3.1 % of the elements outside the bound, 0.5 % allowed",
        case=CASE,
        device=devices[1].id,
        repeat=0,
        output="q",
    )
    return run(
        verdict=Verdict.FAILED, reason="q is out of tolerance", trials=trials, gates=failed_gate("tolerance", finding)
    )


def compile_failure() -> RunRecord:
    """A run whose kernel does not compile; nothing was measured."""
    failure = Failure(fault=Fault.KERNEL, kind="compile", message="compile error F00001 in matmul: tile too large")
    return run(
        verdict=Verdict.FAILED,
        reason="the kernel does not compile",
        trials=[],
        builds=[build(failure=failure, fingerprint="", predicted_us=None)],
        gates=gates(**dict.fromkeys(("tolerance", "determinism", "budget"), GateStatus.NOT_APPLICABLE)),
    )


def odd_device() -> RunRecord:
    """A run on three devices of which the third's `kv` differs, the same way in each repeat."""
    devices = [device(index) for index in range(3)]
    right = {name: output(name) for name in OUTPUTS}
    odd = {**right, "kv": output("kv", digest="other")}
    trials = [
        trial(held.id, repeat, outputs=odd if held.index == 2 else right) for held in devices for repeat in range(3)
    ]
    finding = Finding(
        message="disagrees with an agreeing majority: suspect device", case=CASE, device=devices[2].id, output="kv"
    )
    gate = failed_gate("determinism", finding, status=GateStatus.ERRORED)
    return run(verdict=Verdict.ERRORED, reason="device 10.0.0.1/2 is suspect", trials=trials, gates=gate)


def over_budget() -> RunRecord:
    """A run that is slower than its ceiling; the kernel's fault."""
    devices = [device(index) for index in range(3)]
    trials = [trial(held.id, repeat, wall_us=95.5) for held in devices for repeat in range(3)]
    gate = failed_gate("budget", Finding(message="median 95.50 µs over the ceiling of 90.00 µs", case=CASE))
    return run(verdict=Verdict.FAILED, reason="over budget", trials=trials, gates=gate)


BASE = "b" * 40
CHANGED = ["kernel/qkv_proj_rope/golden.py", "kernel/qkv_proj_rope/budgets.toml"]


def from_commit(
    *,
    rule_changes: list[str] | None = None,
    isolation: str = "bubblewrap",
    base: BaseRecord | None = None,
    gains: list[GainRecord] | None = None,
    **changes: Any,
) -> RunRecord:
    """A passed run of a commit's program, with `changes`; held against `base` where one is given."""
    commit = run().commit
    devices = [device(index).model_copy(update={"isolation": isolation}) for index in range(3)]
    source = SourceRecord(
        commit=commit,
        tree="c" * 64,
        place="kernel/qkv_proj_rope",
        rule_changes=rule_changes or [],
        compared_with=base.commit if base else "the installation",
        gains=gains or [],
    )
    return run(**{"devices": devices, "source": source, "base": base, **changes})


def halved() -> list[GainRecord]:
    """A commit that takes half of what it took before, where no commit has saved more than a tenth."""
    gain = GainRecord(case=CASE, clock=Clock.SIMULATED, before_us=153.28, after_us=76.64, landed=9, largest_gain=0.1)
    return [gain]


def merge_base(answer: str = "better or equal", ratio: float = 1.0, **changes: Any) -> BaseRecord:
    """A merge base measured in turn with the head, with `changes`."""
    trials = [
        trial(f"10.0.0.1/{index}", repeat, wall_us=76.64 / ratio, arm=Arm.BASE, tasks=[])
        for index in range(3)
        for repeat in range(3)
    ]
    comparison = ComparisonRecord(
        clock=Clock.SIMULATED,
        answer=answer,
        ratio=ratio,
        interval=[ratio - 0.01, ratio + 0.01],
        allowed=0.02,
        per_device={f"10.0.0.1/{index}": ratio for index in range(3)},
        rounds=9,
    )
    values: dict[str, Any] = {
        "commit": BASE,
        "tree": "d" * 64,
        "builds": [build()],
        "trials": trials,
        "comparison": {CASE: comparison},
    }
    return BaseRecord(**{**values, **changes})


def slower_than_base() -> RunRecord:
    """A run of a commit that is 10 % slower than its merge base; the kernel's fault."""
    finding = Finding(message="worse: 1.1000 × the merge base", case=CASE, status=GateStatus.FAILED)
    judged = GateRecord(name="regression", status=GateStatus.FAILED, findings=[finding])
    return from_commit(
        base=merge_base("worse", 1.1),
        verdict=Verdict.FAILED,
        reason="regression failed: flash-s2: worse: 1.1000 × the merge base",
        gates=[*gates(), judged],
    )


def base_not_built() -> RunRecord:
    """A run of a commit whose merge base does not compile: nothing was concluded."""
    failure = Failure(fault=Fault.KERNEL, kind="compile", message="compile error F00001 in matmul")
    finding = Finding(
        message="the merge base could not be built: compile error F00001 in matmul",
        case=CASE,
        status=GateStatus.ERRORED,
    )
    judged = GateRecord(name="regression", status=GateStatus.ERRORED, findings=[finding])
    return from_commit(
        base=merge_base(builds=[build(failure=failure)], trials=[], comparison={}),
        verdict=Verdict.ERRORED,
        reason=f"regression errored: {finding.message}",
        gates=[*gates(), judged],
    )

"""What a sweep is bound to: checked, planned for the devices there are, and compared with what is here on a resume."""

from __future__ import annotations

from farm.errors import UsageError
from farm.execution.resolved_run import ResolvedRun, resolve
from farm.leasing.device_lease import PlatformFactory
from farm.model.run import RunRequest
from farm.model.sweep import SweepPlan, SweepRequest
from farm.model.timeouts import Timeouts
from farm.source.provenance import commit_of
from farm.sweep import suite_subject
from farm.sweep.devices import SweepDevices
from farm.timestamps import new_id, now
from jobs.cache import build_address
from jobs.records import TrialRequest
from kernel.platforms.protocol import Platform
from kernel.spec import Kernel


def resolved(request: SweepRequest, factory: PlatformFactory | None, timeouts: Timeouts) -> ResolvedRun:
    """Return what each cell of the sweep is a part of. Raises what `farm.execution.resolved_run.resolve` raises."""
    if request.suite:
        return suite_subject.resolved(request, timeouts)
    return resolve(
        RunRequest(
            kernel=request.kernel,
            cases=request.cases,
            platform=request.platform,
            devices=1 if request.devices is None else request.devices,
            repeats=request.repeats,
            input_set=request.input_set,
            seed=max(request.seeds),
        ),
        factory=factory,
    )


def plan(request: SweepRequest, kernel: Kernel, platform: Platform, bench: SweepDevices) -> SweepPlan:
    """The plan of a new sweep: every device that is in the cluster now and not quarantined, or as many as asked for."""
    present, barred = bench.present(), bench.quarantined()
    healthy = [device for device in present if device not in barred]
    count = len(healthy) if request.devices is None else request.devices
    if not healthy or count > len(healthy):
        without = f" ({len(present) - len(healthy)} more are quarantined)" if len(present) > len(healthy) else ""
        asked = "" if request.devices is None else f"{count} devices asked for, "
        raise UsageError(f"{asked}the cluster has {len(healthy)} to sweep{without}; see `farm devices`")
    return SweepPlan(
        sweep_id=new_id(),
        request=request,
        clock=platform.clock,
        noisy=platform.noisy,
        commit=commit_of(kernel.sources()[0]),
        toolchain=platform.toolchain(),
        addresses=_addresses(request, kernel, platform),
        outputs={case: [spec.name for spec in kernel.output_specs(case)] for case in request.cases},
        devices=healthy[:count],
        quarantined=[device for device in present if device in barred],
        started_at=now(),
    )


def _addresses(request: SweepRequest, kernel: Kernel, platform: Platform) -> dict[str, str]:
    """Case → content address of the program every device is to run."""
    if request.suite:
        return suite_subject.addresses(request, kernel)
    asked = {
        case: TrialRequest(kernel=request.kernel, case=case, platform=request.platform, input_set=request.input_set)
        for case in request.cases
    }
    return {case: build_address(each, kernel, kernel.tuning(case, {}), platform) for case, each in asked.items()}


def require_same(begun: SweepPlan, kernel: Kernel, platform: Platform) -> None:
    """Bits of two programs, or of two compilers, must not be compared: raise `UsageError` naming the first change."""
    toolchain = platform.toolchain()
    for tool in [*begun.toolchain, *toolchain]:
        was, here = begun.toolchain.get(tool, "none"), toolchain.get(tool, "none")
        if was != here:
            raise UsageError(f"sweep {begun.sweep_id} was begun with {tool} {was}, here is {here}; begin a new sweep")
    addresses = _addresses(begun.request, kernel, platform)
    if unknown := [case for case, address in begun.addresses.items() if not address]:
        told = f"sweep {begun.sweep_id} cannot go on: of {unknown[0]} nobody knows whether it is the same"
        raise UsageError(f"{told}, because the repository was not exactly its commit; begin a new sweep")
    changed = [case for case, address in begun.addresses.items() if addresses[case] != address]
    if changed:
        raise UsageError(f"sweep {begun.sweep_id} measured another program of case {changed[0]}; begin a new sweep")

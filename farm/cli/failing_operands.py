"""`farm run --keep-failing`: the operands of a run's wrong results as files that `farm kernel exec` reads."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from safetensors.torch import save_file

from farm import paths
from farm.text import slugs
from jobs import reference
from jobs.kernel_process.described import kernel_of
from jobs.records import TrialStatus
from kernel.file_kernels import absolute

if TYPE_CHECKING:
    from farm.model.run import RunRecord

DIRECTORY = "failing"


def failing(record: RunRecord) -> list[tuple[str, int]]:
    """Return case and seed of each set of operands with which the kernel failed, in the order of the trials.

    It failed where a trial is its fault, where an output is out of tolerance, and in a case whose bits differ.
    """
    raced = {
        finding.case for gate in record.gates if gate.name == "determinism" for finding in gate.findings if finding.case
    }
    found = [
        (trial.case, trial.seed)
        for trial in record.trials
        if trial.case in raced
        or trial.status is TrialStatus.FAILED
        or not all(output.tolerance.passed for output in trial.outputs.values())
    ]
    return list(dict.fromkeys(found))


def keep(record: RunRecord, name: str) -> None:
    """Write inputs and golden of each failing case into the run's directory, and print how to run them again.

    `name` is what the kernel was asked for by. Raises what the kernel's own inputs and golden raise.
    """
    cases = failing(record)
    if not cases:
        click.echo("farm: no operands are kept: nothing failed with the kernel's operands", err=True)
        return
    kernel = kernel_of(name)
    directory = Path(record.directory) / DIRECTORY
    directory.mkdir(exist_ok=True)
    names = slugs(record.cases)
    for case, seed in cases:
        made = reference.reference(kernel, case, record.request.input_set, seed, paths.cache())
        inputs = directory / f"{names[case]}-seed{seed}-inputs.safetensors"
        save_file(made.inputs, inputs)
        save_file(made.golden, directory / f"{names[case]}-seed{seed}-golden.safetensors")
        outputs = directory / f"{names[case]}-seed{seed}-outputs.safetensors"
        command = ["farm", "kernel", "exec", absolute(name), "--case", case, "--platform", record.platform]
        command += ["--inputs", str(inputs), "--outputs", str(outputs)]
        command += [f"--tuning={key}={value}" for key, value in record.request.tuning.items()]
        click.echo(f"farm: run case {case} again with its operands: {shlex.join(command)}", err=True)

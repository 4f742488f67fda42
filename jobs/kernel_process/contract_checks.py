"""What a kernel promises, checked one promise at a time in the kernel's own process; no device is needed.

Each check returns what it has found in a few words, and raises where the promise is broken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from jobs import reference
from jobs.kernel_process.messages import KernelQuestion
from jobs.sandbox.commit_kernel import held_to_specs
from kernel.errors import KernelContractError
from kernel.registry import find_platform
from kernel.spec import Kernel, TensorSpec, require_tolerance
from kernel.validation import require_signature


def run(kernel: Kernel, asked: KernelQuestion) -> str:
    """Make the check `asked.check`. Raises what the kernel raises, and `KernelLayerError`s of every kind."""
    return _CHECKS[asked.check](kernel, asked)


def _contract(kernel: Kernel, asked: KernelQuestion) -> str:
    """Every case has operands, each with a name of its own. The rest of the contract held when it was loaded."""
    for case in kernel.cases:
        outputs = tuple(kernel.output_specs(case))
        specs = (*kernel.input_specs(case), *outputs)
        for each in specs:
            if not isinstance(each, TensorSpec):
                problem = f"the specs of case '{case}' hold a {type(each).__name__}"
                raise KernelContractError(kernel.name, problem, "make each a kernel.spec.TensorSpec")
        names = [spec.name for spec in specs]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            problem = f"the specs of case '{case}' name '{twice[0]}' twice"
            raise KernelContractError(kernel.name, problem, "give each operand a name of its own")
        if not outputs:
            raise KernelContractError(kernel.name, f"case '{case}' has no output", "name one in output_specs()")
    return f"cases {', '.join(kernel.cases)}; input sets {', '.join(kernel.input_sets)}"


def _tolerances(kernel: Kernel, asked: KernelQuestion) -> str:
    named: dict[str, None] = {}
    for case in kernel.cases:
        names = [spec.name for spec in kernel.output_specs(case)]
        if bare := [name for name in names if name not in kernel.tolerances]:
            problem = f"its tolerances lack {', '.join(bare)} (case '{case}')"
            raise KernelContractError(kernel.name, problem, "give every output one")
        named |= dict.fromkeys(names)
    for name in named:
        require_tolerance(kernel.tolerances[name])
    return f"one for each of {', '.join(named)}"


def _guards(kernel: Kernel, asked: KernelQuestion) -> str:
    for case in kernel.cases:
        kernel.tuning(case, {}).as_dict()
    kernel.tuning(asked.case, asked.overrides).as_dict()
    return f"hold for the tuning of {', '.join(kernel.cases)}"


def _signature(kernel: Kernel, asked: KernelQuestion) -> str:
    program = kernel.program(asked.case, kernel.tuning(asked.case, asked.overrides))
    require_signature(kernel, asked.case, program)
    return f"takes {', '.join(argument.name for argument in program.arguments)}, as the specs have them"


def _inputs(kernel: Kernel, asked: KernelQuestion) -> str:
    reference.inputs_of(kernel, asked.case, asked.input_set, asked.seed)
    try:
        reference.require_seeded(kernel, asked.case, asked.input_set, asked.seed)
    except KernelContractError:
        return "as specified, the same when drawn again; another seed draws the same, which a commit's run refuses"
    return "as specified, the same when drawn again, others with another seed"


def _golden(kernel: Kernel, asked: KernelQuestion) -> str:
    inputs = reference.inputs_of(kernel, asked.case, asked.input_set, asked.seed)
    reference.golden_of(kernel, asked.case, inputs)
    return "as specified, the same when computed again, its inputs untouched"


def _compile(kernel: Kernel, asked: KernelQuestion) -> str:
    platform = find_platform(asked.platform)
    platform.prepare(Path(asked.cache))
    tuning = kernel.tuning(asked.case, asked.overrides)
    with tempfile.TemporaryDirectory(prefix="farm-check-") as directory:
        built = platform.build(held_to_specs(kernel), asked.case, tuning, Path(directory))
    predicted = f", predicted {built.wall.us:.2f} µs" if built.wall else ""
    return f"compiles for {platform.name} ({built.fingerprint[:12]}){predicted}"


_CHECKS: Mapping[str, Callable[[Kernel, KernelQuestion], str]] = {
    "contract": _contract,
    "tolerances": _tolerances,
    "guards": _guards,
    "signature": _signature,
    "inputs": _inputs,
    "golden": _golden,
    "compile": _compile,
}

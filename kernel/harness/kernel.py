"""The files of a harness's repository as one kernel of the farm: each file is a case, none has operands to be seen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kernel.errors import TuningError
from kernel.harness.profile import Profile
from kernel.harness.targets import file_of
from kernel.spec import Case, Program, Tensors, TensorSpec, Tolerance
from kernel.spec import Tuning as AnyTuning

INPUT_SET = "own"  # the harness draws its inputs itself


@dataclass(frozen=True, slots=True)
class HarnessCall:
    """What one trial of a file adds to the harness's command."""

    seed: int = 0  # of the inputs, where the harness takes one
    beside: str = ""  # physical ids of further devices on the node, "1,2"
    save: str = ""  # directory to keep the run's data in
    replay: str = ""  # directory to take the run's data from

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(\d+(,\d+)*)?", self.beside):
            raise TuningError(f"beside is '{self.beside}'; give device ids, separated by commas")

    @property
    def further(self) -> tuple[int, ...]:
        """The further devices."""
        return tuple(int(each) for each in self.beside.split(",") if each)

    def as_dict(self) -> dict[str, int | float | bool | str]:
        """Every knob by name."""
        return asdict(self)


class HarnessKernel:
    """Follows `kernel.spec.Kernel`. It compares nothing: the harness does, and its claims are in the `Execution`."""

    tolerances: Mapping[str, Tolerance] = {}
    input_sets: Mapping[str, str] = {INPUT_SET: "drawn by the harness, or frozen by its own means"}

    def __init__(self, profile: Profile, root: Path, files: tuple[str, ...]) -> None:
        """`files` are paths below `root`, with `/`."""
        self.name = profile.name
        self.summary = profile.summary
        self.profile = profile
        self.root = root
        self.default_case = files[0]
        self.cases: Mapping[str, Case] = {file: Case(file, file, {}) for file in files}

    def path(self, case: str) -> Path:
        """The file of `case`, which is a path or a variant of one."""
        return self.root / file_of(case, self.profile)

    def input_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """None: the harness shows no operands."""
        return ()

    def output_specs(self, case: str) -> tuple[TensorSpec, ...]:
        """None."""
        return ()

    def inputs(self, case: str, input_set: str, seed: int) -> Tensors:
        """None."""
        return {}

    def golden(self, case: str, inputs: Tensors) -> Tensors:
        """None."""
        return {}

    def expected(self, case: str, input_set: str, inputs: Tensors, golden: Tensors, actual: Tensors) -> Tensors:
        """None."""
        return {}

    def tuning(self, case: str, overrides: Mapping[str, str]) -> HarnessCall:
        """What the trial adds to the command. Raises `TuningError`."""
        known = [knob.name for knob in fields(HarnessCall)]
        if unknown := sorted(set(overrides) - set(known)):
            raise TuningError(f"a harness has no knob '{unknown[0]}'; known: {', '.join(known)}")
        texts = {name: value for name, value in overrides.items() if name != "seed"}
        return HarnessCall(int(overrides.get("seed", "0")), **texts)

    def program(self, case: str, tuning: AnyTuning) -> Program:
        """Raises `TuningError`: the program is the harness's own business."""
        raise TuningError(f"'{case}' is run by the harness {self.name}; only the platform 'command' can run it")

    def sources(self) -> tuple[Path, ...]:
        """The files themselves; what they import is not known without running them."""
        return tuple(self.path(case) for case in self.cases)

    def budgets(self) -> Path:
        """Nowhere: no budget is held against a harness's files."""
        return self.root / "budgets.toml"

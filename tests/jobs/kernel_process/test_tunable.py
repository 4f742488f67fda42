"""A kernel with a tuning space that is not the installation's answers from one process of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.kernel_process.tunable import tunable
from kernel.errors import KernelLoadError, TuningError, UnknownNameError
from kernel.spec import Step

TUNABLE = """
import os
from pathlib import Path
from types import SimpleNamespace
from kernel.errors import TuningError
from kernel.spec import Case, Step

assert os.getpid() != {driver}, "loaded in the driver"

class Mine:
    name, summary, default_case = "mine", "", "a"
    cases, input_sets = {{"a": Case("a", "", {{}})}}, {{"i": ""}}
    tolerances = {{"y": SimpleNamespace(atol=0.0, rtol=0.0, outlier_share=0.0)}}
    def sources(self): return (Path(__file__),)
    def budgets(self): return Path(__file__).with_name("budgets.toml")
    def input_specs(self, case): return ()
    output_specs = input_specs
    def inputs(self, case, input_set, seed): return {{}}
    golden = expected = program = inputs
    def tuning(self, case, overrides):
        rows = int(overrides.get("rows", 1))
        if rows == 3: raise TuningError("rows=3 does not divide")
        if rows == 5: os._exit(0)
        return SimpleNamespace(as_dict=lambda: {{"rows": rows, "pid": os.getpid()}})
    {history}

KERNEL = Mine()
"""
HISTORY = """
    def defaults(self): return {"rows": 1}
    def tunings(self): return Path(__file__).with_name("tunings.toml")
    def untuned(self, case): return {"rows": "1"}
    def steps(self, case): return (Step("W", "wider", ("rows",)),)
    def tuning_space(self, case): return {"rows": ("1", "2", "3")}
"""


def mine(directory: Path, history: str = HISTORY) -> str:
    file = directory / "mine.py"
    file.write_text(TUNABLE.format(driver=os.getpid(), history=history.strip()))
    return str(file)


def test_one_process_answers_every_question(tmp_path: Path) -> None:
    with tunable(mine(tmp_path)) as kernel:
        assert (kernel.name, kernel.defaults()) == ("mine", {"rows": 1})
        assert kernel.tunings() == tmp_path / "tunings.toml"
        assert kernel.untuned("a") == {"rows": "1"}
        assert kernel.steps("a") == (Step("W", "wider", ("rows",)),)
        assert kernel.tuning_space("a") == {"rows": ("1", "2", "3")}
        with pytest.raises(UnknownNameError, match="unknown case 'b'"):
            kernel.tuning("b", {"rows": "2"})
        with pytest.raises(TuningError, match="rows=3 does not divide"):
            kernel.tuning("a", {"rows": "3"})
        knobs = [kernel.tuning("a", {"rows": rows}).as_dict() for rows in ("2", "4")]

    assert [each["rows"] for each in knobs] == [2, 4]
    (pid,) = {each["pid"] for each in knobs}
    assert pid != os.getpid()
    assert not Path(f"/proc/{pid}").exists()


def test_a_process_that_ends_meanwhile_is_reported_at_each_question(tmp_path: Path) -> None:
    with tunable(mine(tmp_path)) as kernel:
        for rows in ("5", "2"):
            with pytest.raises(KernelLoadError, match="ended with exit code 0 while its tuning"):
                kernel.tuning("a", {"rows": rows})


def test_a_kernel_without_a_tuning_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="declares no tuning space"), tunable(mine(tmp_path, "")):
        pytest.fail("it was taken for a tunable kernel")

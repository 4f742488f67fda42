"""Digests taken inside a foreign program: of its own tensors, whatever it does, and without it noticing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from jobs.records import TrialStatus
from tests.fakes.tensor_suite import STEADY, profile, suite, trial

LATE = STEADY.replace(
    "from golden.validation import validate", "import golden.validation\nvalidate = golden.validation.validate"
)
NUMPY_ONLY = """
import sys
import numpy
from golden.validation import validate
validate({"y": numpy.arange(6, dtype=numpy.int16).reshape(2, 3)[:, ::2]}, {})
assert "torch" not in sys.modules
print("PASS")
"""
RAISING = """
import numpy
from golden import validation
validation.validate({"y": numpy.zeros(2)}, {})
try:
    validation.validate([], {}, atole=1)
except TypeError as error:
    assert "atole" in str(error), error
print("PASS")
"""
FORKED = """
import os, numpy
from golden.validation import validate
for rank in range(2):
    if os.fork() == 0:
        validate({"shard": numpy.full(3, rank)}, {})
        os._exit(0)
for rank in range(2):
    os.wait()
print("PASS")
"""
TWO_PROGRAMS = """
import numpy
from golden.validation import validate
for value in (1, 2):
    print("program")
    validate({"y": numpy.full(3, value)}, {})
    print("PASS")
"""
ODD = """
import numpy
from golden.validation import validate
validate({"y": numpy.zeros(2), "z": object()}, {})
print("PASS")
"""
MANY = """
import numpy
from golden.validation import validate
values = {f"o{number}": numpy.float32(number) for number in range(5_000)}
import io, contextlib
with contextlib.redirect_stdout(io.StringIO()):
    validate(values, {})
print("o0: PASS")
print("PASS")
"""
NOT_CALLED = "print('y: PASS')\nprint('PASS')\n"


def sha256(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


@pytest.mark.parametrize("text", [STEADY, LATE])
def test_a_function_is_wrapped_however_it_is_imported(text: str, tmp_path: Path) -> None:
    record = trial(suite(tmp_path / "repo", steady=text), "steady", tmp_path)

    assert (record.status, record.undigested) == (TrialStatus.OK, "")
    assert {name: (claim.shape, claim.dtype, claim.digest_by) for name, claim in record.claims.items()} == {
        "y": ("(64,)", "float32", "process"),
        "z": ("(8, 8)", "float32", "process"),
    }
    assert all(len(claim.sha256) == 64 for claim in record.claims.values())


def test_the_bytes_are_those_in_the_order_of_the_elements(tmp_path: Path) -> None:
    record = trial(suite(tmp_path / "repo", only=NUMPY_ONLY), "only", tmp_path)

    assert record.claims["y"].sha256 == sha256(np.array([[0, 2], [3, 5]], dtype=np.int16))


def test_a_call_that_is_refused_is_refused_as_without_the_farm(tmp_path: Path) -> None:
    record = trial(suite(tmp_path / "repo", raising=RAISING), "raising", tmp_path)

    assert record.status is TrialStatus.OK, (tmp_path / "trial" / record.log).read_text()
    assert record.undigested == "golden.validation:validate: TypeError: got an unexpected keyword argument 'atole'"
    assert record.claims["y"].sha256 == "", "a program of which a part is unknown has no digests"


def test_processes_of_one_program_are_taken_together_in_no_order(tmp_path: Path) -> None:
    record = trial(suite(tmp_path / "repo", forked=FORKED), "forked", tmp_path)

    shards = sorted(sha256(np.full(3, rank)) for rank in range(2))
    assert record.claims["shard"].sha256 == hashlib.sha256("\n".join(shards).encode()).hexdigest()


def test_the_second_program_has_the_second_digest(tmp_path: Path) -> None:
    record = trial(suite(tmp_path / "repo", two=TWO_PROGRAMS), "two", tmp_path)

    assert {name: claim.sha256 for name, claim in record.claims.items()} == {
        "y": sha256(np.full(3, 1)),
        "2/y": sha256(np.full(3, 2)),
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NOT_CALLED, "golden.validation:validate was not called"),
        (ODD, "golden.validation:validate: TypeError: a value of type object is not a tensor of torch or NumPy"),
    ],
)
def test_a_program_without_digests_says_why(text: str, told: str, tmp_path: Path) -> None:
    record = trial(suite(tmp_path / "repo", file=text), "file", tmp_path)

    assert (record.status, record.undigested) == (TrialStatus.OK, told)


@pytest.mark.parametrize(
    ("function", "argument", "told"),
    [
        ("golden.validation:check", "outputs", "golden.validation:check cannot be wrapped: "),
        ("golden.validation:validate", "output", "it has no argument 'output'; it has: outputs, expected, atol"),
        ("golden.nowhere:validate", "outputs", "golden.nowhere:validate was not called"),
    ],
)
def test_a_profile_that_names_what_is_not_there_changes_nothing(
    function: str, argument: str, told: str, tmp_path: Path
) -> None:
    described = profile(("golden.validation:validate", function), ('"outputs"', f'"{argument}"'))

    record = trial(suite(tmp_path / "repo", steady=STEADY), "steady", tmp_path, described)

    assert record.status is TrialStatus.OK
    assert told in record.undigested


def test_many_outputs_are_bounded_and_the_rest_still_counts(tmp_path: Path) -> None:
    first = trial(suite(tmp_path / "a", many=MANY), "many", tmp_path / "1")
    other = MANY.replace("values, {})", "{**values, 'o4999': numpy.float32(-1)}, {})")
    second = trial(suite(tmp_path / "b", many=other), "many", tmp_path / "2")

    assert (first.status, first.undigested) == (TrialStatus.OK, "")
    assert len(first.claims) == 1001
    differing = {name for name in first.claims if first.claims[name].sha256 != second.claims[name].sha256}
    assert differing == {"(4,000 further outputs)"}


def test_the_machines_own_sitecustomize_is_loaded_as_ever(tmp_path: Path) -> None:
    text = (
        STEADY + "import sitecustomize, sys\nassert sitecustomize.OWN and not any('farm' in p for p in sys.path[1:])\n"
    )
    root = suite(tmp_path / "repo", steady=text)
    (root / "sitecustomize.py").write_text("OWN = True\n")

    record = trial(root, "steady", tmp_path)

    assert (record.status, record.undigested) == (TrialStatus.OK, ""), (tmp_path / "trial" / record.log).read_text()

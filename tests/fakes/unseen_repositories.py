"""Three repositories that the farm has never seen, each with the profile that a maintainer writes for it.

The profiles are made from docs/suites.md alone and have at most 25 lines. Their platform is simulated and its times are
exact, so that a test can say what is slower.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnseenRepository:
    """One repository."""

    name: str
    profile: str
    files: dict[str, str]
    change: dict[str, str]  # of a harmless pull request
    target: str  # that it touches


_OPERATOR = """\
import argparse
import sys

from common.compare import check
from common.draw import draw


def golden(x, y):
    return x {sign} y


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", type=int)
    parser.parse_args()
    x, y = draw(8, 8), draw(8, 8)
    result = x {sign} y
    good = check("{name}", result, golden(x, y))
    print("kernel time: 12.50 us (median of 20 rounds)")
    if not good:
        sys.exit(1)
    print("ALL CHECKS OK")


if __name__ == "__main__":
    main()
"""
ADD, MUL = _OPERATOR.format(name="add", sign="+"), _OPERATOR.format(name="mul", sign="*")

PYTHON = UnseenRepository(
    "python",
    r"""name = "python"
summary = "Python files that check themselves"
command = ["python", "{file}", "--device", "{device}"]
ignore = ["docs/*", "*.md"]
files = { include = ["ops/*.py"], runnable = "__main__" }
platforms = { npu = { simulated = true, clock = "simulated" } }
environment = { set = { PYTHONPATH = "{root}", OPENBLAS_NUM_THREADS = "1" } }
limits = { seconds = 60, disk_mb = 64 }
sandbox = { memory_mb = 256 }

[lines]
passed = '^ALL CHECKS OK$'
output = '^\[check\] (?P<name>\w+): (?P<verdict>\w+)'
passing = '^OK$'
time = '^kernel time: (?P<median>[\d.]+) us \(median of (?P<rounds>\d+) rounds\)'

[data.digests]
function = "common.compare:check"
argument = "actual"
name = "name"
inputs = "common.draw:draw"
""",
    {
        "common/__init__.py": "",
        "common/compare.py": """\
import numpy as np


def check(name, actual, expected, rtol=1e-5):
    wrong = int((~np.isclose(actual, expected, rtol=rtol)).sum())
    print(f"[check] {name}: {'WRONG' if wrong else 'OK'} ({wrong} of {actual.size})")
    return wrong == 0
""",
        "common/draw.py": """\
import numpy as np


def draw(*shape):
    return np.random.default_rng().random(shape, dtype=np.float32)
""",
        "ops/add.py": ADD,
        "ops/mul.py": MUL,
        "ops/sub.py": ADD.replace(" + ", " - ").replace('"add"', '"sub"'),
        "ops/div.py": ADD.replace(" + ", " / ").replace('"add"', '"div"'),
    },
    {"ops/add.py": f"{ADD}# nothing else\n"},
    "ops/add.py",
)

PYTEST = UnseenRepository(
    "pytest",
    """name = "pytest"
summary = "tests of pytest, one file a target"
command = ["python", "-m", "pytest", "{file}", "--npu", "{device}", "--junitxml", "{workdir}/junit.xml"]
ignore = ["docs/*", "*.md"]
imports = ["src"]
files = { include = ["tests/test_*.py"] }
platforms = { npu = { simulated = true, clock = "simulated" } }
results = { by = "junit", file = "junit.xml" }
times = [{ file = "kernel_details.csv", column = "Duration(us)" }]
limits = { seconds = 60 }

[environment.set]
PYTHONPATH = "{root}/src"
PROFILER_OUTPUT = "{workdir}"
PYTEST_ADDOPTS = "-p no:cacheprovider"
OPENBLAS_NUM_THREADS = "1"

[data]
seeded = true
digests = { function = "numpy.testing:assert_allclose", argument = "actual" }
""",
    {
        "conftest.py": """\
import os
import pathlib

import pytest


def pytest_addoption(parser):
    parser.addoption("--npu", type=int)


@pytest.fixture
def npu(request):
    details = pathlib.Path(os.environ["PROFILER_OUTPUT"], "kernel_details.csv")
    details.write_text("Name,Duration(us)\\nscale,4.25\\n")
    return request.config.getoption("--npu")
""",
        "src/kernels.py": "def scale(values, factor):\n    return values * factor\n",
        "tests/test_scale.py": """\
import numpy
import numpy.testing

from kernels import scale


def test_doubles(npu):
    numpy.testing.assert_allclose(scale(numpy.arange(8.0), 2), 2 * numpy.arange(8.0))
""",
        "tests/test_other.py": "def test_nothing(npu):\n    assert npu is not None\n",
    },
    {"src/kernels.py": "def scale(values, factor):\n    return factor * values\n"},
    "tests/test_scale.py",
)

_CASE = """\
#!/bin/bash
cd "$(dirname "$0")/.."
build/operator {name} "$RESULTS/{name}.bin"
answer=fail; [ "$(cat "$RESULTS/{name}.bin")" = "{name} of build 1" ] && answer=pass
printf 'op,result\\n{name},%s\\n' "$answer" > "$RESULTS/results.csv"
printf 'Op Name,Task Duration(us)\\n{name},8.25\\n' > "$RESULTS/op_summary_0.csv"
"""
CSV = UnseenRepository(
    "csv",
    """name = "csv"
summary = "operators that build.sh builds, with their results in CSV"
command = ["bash", "{file}"]
files = { include = ["cases/*.sh"] }
platforms = { npu = { simulated = true, clock = "simulated" } }
results = { by = "csv", file = "results.csv", name = "op", column = "result", passing = "^pass$" }
times = [{ file = "op_summary_*.csv", column = "Task Duration(us)" }]
data = { seeded = true, outputs = ["*.bin"] }
environment = { set = { RESULTS = "{workdir}", ASCEND_RT_VISIBLE_DEVICES = "{device}" } }
limits = { seconds = 60 }

[[setup]]
name = "build"
command = ["bash", "build.sh", "{output}"]
inputs = ["build.sh", "csrc/*"]
outputs = ["build"]
artefacts = ["build/operator"]
""",
    {
        "build.sh": '#!/bin/bash\nset -e\nmkdir -p "$1"\ncp csrc/operator.sh "$1/operator"\nchmod +x "$1/operator"\n',
        "csrc/operator.sh": '#!/bin/bash\necho "$1 of build 1" > "$2"\n',
        "cases/add.sh": _CASE.format(name="add"),
        "cases/mul.sh": _CASE.format(name="mul"),
    },
    {"csrc/operator.sh": '#!/bin/bash\n# nothing else\necho "$1 of build 1" > "$2"\n'},
    "cases/add.sh",
)
EVERY = (PYTHON, PYTEST, CSV)

SLOWER = MUL.replace("12.50 us", "13.50 us")
WRONG = ADD.replace("    result = x + y\n", "    result = x + 2 * y\n")
RACES = ADD.replace('"add"', '"sub"').replace(
    "    result = x + y\n", "    import os\n\n    result = (x - y) * (1 + os.urandom(1)[0] % 40 * 2e-7)\n"
)
RACES = RACES.replace("return x + y", "return x - y")
HOSTILE = """\
import argparse
import os
import time

print("__main__", sorted(os.environ), os.listdir("/home") if os.path.exists("/home") else [])
for path in (__file__, "/etc/passwd"):
    try:
        open(path, "a").write("changed")
        print("did it")
    except OSError as error:
        print(type(error).__name__)
held = bytearray(b"x" * (1 << 30))
time.sleep(60)
"""

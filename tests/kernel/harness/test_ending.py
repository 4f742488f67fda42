"""What the end of a run proves: signatures in every spelling, programs without a pass, arguments that are refused."""

from __future__ import annotations

import pytest

from kernel.errors import DeviceError, HarnessError
from kernel.harness.ending import require_measured
from kernel.harness.process_tree import ProcessExit, Stop
from kernel.harness.reading import Reader
from tests.fakes.harness import shipped

PASS = "[RUN]   'y' PASS  shape=(1,)\n[RUN] PASS (1.0s)\n"
BEGIN = "[RUN] compile ...\n"


def end(text: str, code: int | None = 1, stopped: Stop = Stop.NONE) -> HarnessError | DeviceError:
    """The error that a run with this output ends in."""
    reader = Reader(shipped())
    reader.feed(text.encode())
    with pytest.raises((HarnessError, DeviceError)) as caught:
        require_measured(shipped(), reader.close(), ProcessExit(code, stopped), text)
    error = caught.value
    assert isinstance(error, (HarnessError, DeviceError))
    return error


def kind(text: str, code: int | None = 1) -> str:
    error = end(text, code)
    return error.kind if isinstance(error, HarnessError) else f"device-{error.code}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("RuntimeError: run_prepared failed with code 507018", "device-507018"),
        ("sync_stream_pair: stream 3 failed: 507018", "device-507018"),
        ("rtMalloc failed: 207001", "device-207001"),
        ("aclrtSynchronizeStream: error code is 507015", "device-507015"),
        ("launch failed, errorCode=507899", "device-507899"),
        ("aclrtCreateContext failed with error code 507033", "device-507033"),
        ("gcc: fatal error: Killed signal terminated program cc1plus", "out-of-memory"),
        ("terminate called after throwing an instance of 'std::bad_alloc'", "out-of-memory"),
        ("RuntimeError: ptoas compilation timed out after 60 s", "host-resources"),
        ("subprocess.CalledProcessError: Command '['git', 'clone', 'https://x']' returned 128", "fetch-failed"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", "fetch-failed"),
        ("FileNotFoundError: ptoas binary not found", "platform-unavailable"),
        ("OSError: libascendcl.so: cannot open shared object file: No such file", "platform-unavailable"),
        ("ImportError: /lib64/libc.so.6: version `GLIBC_2.34' not found", "platform-unavailable"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/usr/bin/g++-15'", "platform-unavailable"),
        ("build.sh: line 3: cmake: command not found", "platform-unavailable"),
        ("ASCEND_HOME_PATH is required", "platform-unavailable"),
        ("OSError: [Errno 28] No space left on device", "disk-full"),
    ],
)
def test_the_machines_and_the_devices_faults_are_known_in_every_spelling(line: str, found: str) -> None:
    assert kind(f"{BEGIN}{line}\n") == found


@pytest.mark.parametrize(
    "line", ["tensor 507018 elements", "shape=(507018,)", "took 207001 ns", "failed 5070189 times"]
)
def test_a_number_that_is_no_code_is_none(line: str) -> None:
    assert kind(f"{line}\n") == "unexplained-exit-1"


def test_a_devices_fault_goes_before_the_assertion_that_follows_it() -> None:
    assert kind("stream failed: 507014\nAssertionError: run failed\n") == "device-507014"
    assert kind("AssertionError: rows do not divide\n") == "tuning"


def test_a_line_that_needs_another_counts_only_with_it() -> None:
    assert kind("Error: Undefined variable 'a'\n  --> <string>:12:29\n") == "compile"
    assert kind("Error: Undefined variable 'a'\n") == "unexplained-exit-1"


def test_the_exception_is_the_last_one_of_a_chain() -> None:
    first = 'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 3\n\nDuring handling …:\n\n'
    last = 'Traceback (most recent call last):\n  File "a.py", line 2\npkg.mod.LoweringError: no rule\n'

    assert kind(first + last) == "unexplained-LoweringError"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{BEGIN}{PASS}{BEGIN}[RUN] runtime done (0.1s)\n", "program 2 of 2 has no pass line"),
        (f"{BEGIN}[RUN] runtime done\n{BEGIN}{PASS}", "program 1 of 2 has no pass line"),
        (f"--- qkv decode: B=4, S=1 ---\n{BEGIN}{PASS}--- qkv prefill: B=1 ---\n{BEGIN}", "program 2 of 2 (prefill)"),
        (f"{BEGIN}{PASS}{BEGIN}[RUN] PASS (1.0s)\n", "program 2 of 2: a pass line, but no output"),
        (f"{BEGIN}{PASS}{BEGIN}{PASS}{BEGIN}[RUN] PASS (1s, validation skipped: x)\n", "compared nothing"),
    ],
)
def test_every_program_of_a_file_needs_a_pass_of_its_own(text: str, told: str) -> None:
    error = end(text, 0)

    assert isinstance(error, HarnessError)
    assert error.kind == "nothing-measured"
    assert told in str(error)


@pytest.mark.parametrize(
    ("text", "code", "found"),
    [
        ("usage: k.py [-h]\nk.py: error: unrecognized arguments: --enable-chip-swimlane\n", 2, "bad-argument"),
        ("usage: k.py [-h]\nk.py: error: argument -p: invalid choice: 'a5sim'\n", 2, "bad-argument"),
        ("Usage: k [OPTIONS]\n\nError: No such option: --lanes\n", 2, "bad-argument"),
        ("ERROR: usage: pytest\npytest: error: unrecognized arguments: --platform\n", 4, "bad-argument"),
        ("a.hpp:3:1: error: expected ';'\nmake: *** [all] Error 2\n", 2, "unexplained-exit-2"),
        ("k.py: error: unrecognized arguments: --x\nlater\n", 1, "unexplained-exit-1"),
    ],
)
def test_an_argument_that_the_file_refuses_is_the_callers(text: str, code: int, found: str) -> None:
    assert kind(text, code) == found


def test_a_pass_with_every_programs_pass_is_one() -> None:
    reader = Reader(shipped())
    reader.feed((BEGIN + PASS).encode() * 3)
    seen = reader.close()

    require_measured(shipped(), seen, ProcessExit(0), "")

    assert (seen.passes, "program 4 of 4" in str(end((BEGIN + PASS) * 3 + BEGIN, 0))) == (3, True)

"""What a profile reads in a log: as a run reads it, line by line, with the rule of each."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from farm.harness.log_reading import MOST_LINES, LogQuestion, LogReader, LogReading, read
from kernel.harness.profile import parse
from kernel.harness.profiles import names, text_of
from kernel.harness.reading import Reader

PROFILE = r"""
name = "mine"
summary = "made for a test"
command = ["python", "{file}", "{device}"]
files = { include = ["*.py"] }
platforms = { sim = { simulated = true, clock = "host" } }
per_file = [{ files = ["odd.py"], passed = "^fine$" }]

[lines]
passed = '^PASS$'
output = '^output (?P<name>\w+) (?P<verdict>\w+)'
time = 'took (?P<us>[\d.]+) us'

[[signatures]]
lines = ['^cannot compile']
kind = "compile"
"""
LOG = "begin\noutput y PASS\ntook 5 us\nPASS\n"


def reading(log: str, profile: str = PROFILE, exit_code: int = 0, file: str = "") -> LogReading:
    return read(LogQuestion(profile=profile, log=log, exit_code=exit_code, file=file))


def rules(found: LogReading) -> list[tuple[int, str, list[str]]]:
    return [(line.number, line.text, line.rules) for line in found.lines]


def test_each_line_has_the_rules_it_was_taken_for() -> None:
    found = reading(LOG)

    assert rules(found) == [
        (2, "output y PASS", ["lines.output"]),
        (3, "took 5 us", ["lines.time"]),
        (4, "PASS", ["lines.passed"]),
    ]
    assert (found.matched, found.total, found.judgement) == (3, 4, "passed")
    assert found.facts[-1] == "time of mode 1: median 5 µs, mean 5 µs of 1 rounds"


def test_rules_that_no_line_matches_are_counted_with_zero() -> None:
    assert reading("PASS\n").rules == {
        "lines.passed": 1,
        "lines.output": 0,
        "lines.time": 0,
        "signatures.0: compile": 0,
    }


@pytest.mark.parametrize(
    ("log", "exit_code", "judgement", "words"),
    [
        (LOG, 0, "passed", "passed"),
        (LOG.replace("y PASS", "y FAIL"), 1, "failed", "failed: y"),
        ("done\n", 0, "errored", "not measured, nothing-measured: "),
        ("cannot compile\n", 1, "failed", "not measured, compile: cannot compile"),
        ("No space left on device\n", 1, "errored", "not measured, disk-full: "),
        ("what\n", 7, "errored", "tried on a second device, and failed where that one says the same"),
    ],
)
def test_the_run_is_judged_by_what_the_log_says(log: str, exit_code: int, judgement: str, words: str) -> None:
    found = reading(log, exit_code=exit_code)

    assert found.judgement == judgement
    assert words in found.outcome


def test_an_exit_code_that_is_the_verdict_is_one() -> None:
    profile = PROFILE.replace("[lines]", 'results = { by = "exit", failing = [3] }\n[lines]', 1)

    assert [reading("", profile, code).judgement for code in (0, 3)] == ["passed", "failed"]


def test_a_verdict_in_a_file_is_not_seen_in_a_log() -> None:
    profile = PROFILE.replace("[lines]", 'results = { by = "junit", file = "junit.xml" }\n[lines]', 1)

    assert reading(LOG, profile).outcome == "judged by junit.xml, which a log does not show"


def test_a_file_may_have_its_own_pass_line() -> None:
    log = "output y PASS\nfine\n"

    assert [reading(log, file=file).judgement for file in ("odd.py", "even.py")] == ["passed", "errored"]


def test_lines_are_numbered_as_an_editor_does_it() -> None:
    assert [line.number for line in reading(LOG.replace("\n", "\r\n")).lines] == [2, 3, 4]
    assert rules(reading("10 %\r20 %\rPASS\rPASS\n\x1b[32moutput\x1b[0m y PASS")) == [
        (1, "PASS", ["lines.passed", "lines.passed"]),
        (2, "output y PASS", ["lines.output"]),
    ]


def test_a_long_log_has_its_first_matches_and_the_number_of_all() -> None:
    found = reading("PASS\n" * (MOST_LINES + 5))

    assert (len(found.lines), found.matched, found.total) == (MOST_LINES, MOST_LINES + 5, MOST_LINES + 5)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_line_that_comes_in_parts_is_one(size: int) -> None:
    def pieces() -> Iterator[bytes]:
        for line in LOG.encode().splitlines(keepends=True):
            yield from (line[at : at + size] for at in range(0, len(line), size))

    assert LogReader(parse(PROFILE, "mine")).read(pieces(), 0) == reading(LOG)


@pytest.mark.parametrize("name", names())
def test_the_log_is_read_as_a_run_reads_it(name: str) -> None:
    log = LOG + "Traceback (most recent call last)\n  x\nValueError: no\n[RUN] compile ...\nerror code is 507015"
    reader = Reader(parse(text_of(name), name))
    reader.feed(log.encode())
    own = LogReader(parse(text_of(name), name))
    own.read([log.encode()], 1)

    whole = reader.close()
    assert (own.seen.signs, own.seen.programs, own.seen.times) == (whole.signs, whole.programs, whole.times)
    assert (own.seen.exception, own.seen.last) == (whole.exception, whole.last)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("\npassed = ", "\npased = "), "lines.pased: no such key; did you mean 'passed'?"),
        (('kind = "compile"', 'kind = "compil"'), "did you mean 'compile'?"),
        (("^PASS$", "^PASS($"), "lines.passed: '^PASS($' is no regular expression"),
        (("[lines]", "[lines"), "is not TOML: "),
    ],
)
def test_what_is_wrong_with_a_profile_is_said_in_one_line(change: tuple[str, str], problem: str) -> None:
    found = reading(LOG, PROFILE.replace(*change))

    assert problem in found.problem and "\n" not in found.problem
    assert (found.lines, found.outcome) == ([], "")


def test_as_a_program_it_answers_on_its_standard_output() -> None:
    asked = LogQuestion(profile=PROFILE, log=LOG).model_dump_json()
    words = [sys.executable, "-m", "farm.harness.log_reading"]

    done = subprocess.run(words, input=asked, capture_output=True, text=True, check=True, timeout=60)

    assert LogReading.model_validate_json(done.stdout) == reading(LOG)

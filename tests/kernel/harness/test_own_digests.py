"""What the farm believes of a file of digests that a foreign program wrote, and how it joins the program's claims."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernel.harness import own_digests
from kernel.harness.own_digests import Bits, OwnDigests
from kernel.harness.profile import Digests
from kernel.platforms.protocol import Claim

WANTED = Digests(function="golden.validation:validate", argument="outputs")
SHA = "ab" * 32
GOOD = {"sha256": SHA, "shape": [2, 3], "dtype": "bfloat16", "name": "y", "call": 1, "process": 7}


def written(work: Path, *lines: object) -> Path:
    (work / "farm-digests").mkdir(parents=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (work / "farm-digests" / "digests.jsonl").write_text("\n".join(texts) + "\n")
    return work


def test_a_good_line_is_an_output(tmp_path: Path) -> None:
    told = own_digests.read(written(tmp_path, GOOD, {**GOOD, "name": "x", "shape": []}), WANTED)

    assert told == OwnDigests((Bits("x", 1, SHA, "()", "bfloat16"), Bits("y", 1, SHA, "(2, 3)", "bfloat16")))


@pytest.mark.parametrize(
    "hostile",
    [
        "{",
        "[" * 100_000,
        "null",
        {**GOOD, "sha256": "ab"},
        {**GOOD, "sha256": SHA.upper()},
        {**GOOD, "shape": [float("nan")]},
        {**GOOD, "shape": [1] * 33},
        {**GOOD, "call": "1"},
        {**GOOD, "dtype": "float32\x1b[2J"},
        {**GOOD, "name": "a\nb"},
        {**GOOD, "name": "\u202e"},
        {**GOOD, "name": "\ud800"},
        {**GOOD, "name": "a" * 5000},
        {**GOOD, "passed": True},
        {"problem": 1, "process": 1},
    ],
)
def test_one_line_that_is_none_takes_the_word_from_all(hostile: object, tmp_path: Path) -> None:
    told = own_digests.read(written(tmp_path, GOOD, hostile), WANTED)

    assert told.outputs == ()
    assert told.problem.startswith("line 2 of the program's digests is none: ")
    assert told.problem.isprintable()


def test_a_problem_of_the_wrapper_is_said_and_printable(tmp_path: Path) -> None:
    told = own_digests.read(written(tmp_path, GOOD, {"problem": "no\x07 bits", "process": 1}), WANTED)

    assert told == OwnDigests(problem="no? bits")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(GOOD) + "\n")
    linked, piped = written(tmp_path / "linked"), written(tmp_path / "piped")
    for work in (linked, piped):
        (work / "farm-digests" / "digests.jsonl").unlink()
    (linked / "farm-digests" / "digests.jsonl").symlink_to(secret)
    os.mkfifo(piped / "farm-digests" / "digests.jsonl")

    assert own_digests.read(linked, WANTED).problem.startswith("the file of digests cannot be read: ")
    assert own_digests.read(piped, WANTED).problem.startswith("what the program left as digests is no file")
    assert own_digests.read(tmp_path / "gone", WANTED).problem == "golden.validation:validate was not called"


def test_a_digest_joins_the_claim_of_its_output_and_changes_no_verdict() -> None:
    claims = {"y": Claim(passed=False, shape="(2, 3)", how="allclose"), "exit code": Claim(passed=True, whole=True)}

    found = own_digests.merged(
        claims, OwnDigests((Bits("y", 1, SHA, "(6,)", "int8"), Bits("new", 1, SHA, "(1,)", "int8")))
    )

    assert found["y"] == Claim(False, "(2, 3)", "int8", "allclose", sha256=SHA, digest_by="process")
    assert (found["exit code"].sha256, found["new"].passed, found["new"].digest_by) == ("", True, "process")
    assert found["new"].how.startswith("its bits only")


def test_a_later_call_is_the_next_programs_output_or_one_of_its_own() -> None:
    claims = {"y": Claim(passed=True), "decode/y": Claim(passed=True)}
    times = tuple(Bits("y", time, f"{time}" * 64, "", "") for time in (1, 2, 3))

    found = own_digests.merged(claims, OwnDigests(times))

    assert {name: claim.sha256[0] for name, claim in found.items()} == {"y": "1", "decode/y": "2", "y (call 3)": "3"}


def test_a_link_instead_of_inputs_is_not_kept(tmp_path: Path) -> None:
    work = written(tmp_path / "work")
    (work / "farm-digests" / "inputs").symlink_to(tmp_path)

    own_digests.move_inputs(work, tmp_path / "kept")

    assert (tmp_path / "kept").is_dir()
    assert not (tmp_path / "kept").is_symlink()
    assert list((tmp_path / "kept").iterdir()) == []

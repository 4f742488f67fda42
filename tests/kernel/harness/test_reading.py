"""What is read from a harness's output: every output, every mode's time, the first sign of what went wrong."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kernel.harness.profile import Lines
from kernel.harness.reading import Reader, Seen
from tests.fakes.harness import shipped

WRONG = """\
[RUN] compile ...
[RUN]   'kv' PASS  shape=(128, 512) dtype=torch.bfloat16
[RUN]   'qr' FAIL  shape=(128, 256) dtype=torch.int8 (ratio_allclose(atol=0.1))
Output(s) does not match golden: ['qr', 'qr_scale']
  'qr' FAIL (ratio_allclose(atol=0.1))  shape=(128, 256) dtype=torch.int8
    ratio_allclose fail: error_count=12/32768 (ratio=0.0366%, allowed<=0.0000%, threshold=0 pts)
    max abs diff=0.25 at (3, 7) (tol=0.0001)
    first 2 mismatches:
    [775] actual=1.25, expected=1, diff=0.25, tol=0.0001
    [776] actual=9, expected=8, diff=1, tol=0.0001
  'qr_scale' FAIL  shape=(128, 1) dtype=torch.float32
    Mismatched elements: 3/128  rtol=1e-05 atol=1e-05
"""


def read(text: str | bytes) -> Seen:
    reader = Reader(shipped())
    reader.feed(text if isinstance(text, bytes) else text.encode())
    return reader.close()


def test_outputs_and_their_mismatches_are_read() -> None:
    claims = read(WRONG).claims

    assert {name: claim.passed for name, claim in claims.items()} == {"kv": True, "qr": False, "qr_scale": False}
    assert (claims["kv"].shape, claims["kv"].dtype) == ("(128, 512)", "bfloat16")
    qr = claims["qr"]
    assert (qr.wrong, qr.total, qr.max_abs_err, qr.first) == (12, 32768, 0.25, "[775] 1.25 for 1")
    assert qr.how == "ratio_allclose(atol=0.1)"
    assert (claims["qr_scale"].wrong, claims["qr_scale"].total) == (3, 128)
    assert "ratio_allclose fail" in qr.detail


@pytest.mark.parametrize(
    ("passing", "right"),
    [("^PASS$", {"a": False, "b": False, "c": True}), ("^(?:OK|0)$", {"a": True, "b": True, "c": False})],
)
def test_the_word_of_an_output_that_is_right_is_the_profiles(passing: str, right: dict[str, bool]) -> None:
    lines = Lines(passed="^all", output=r"^check (?P<name>\w+): (?P<verdict>\w+)", passing=passing)
    reader = Reader(shipped().model_copy(update={"lines": lines}))

    reader.feed(b"check a: OK\ncheck b: 0\ncheck c: PASS\n")

    assert {name: claim.passed for name, claim in reader.close().claims.items()} == right


@given(st.lists(st.integers(1, len(WRONG.encode())), max_size=8))
def test_how_the_output_is_cut_into_pieces_does_not_matter(cuts: list[int]) -> None:
    data = WRONG.encode()
    edges = [0, *sorted(cuts), len(data)]
    reader = Reader(shipped())
    for begin, end in itertools.pairwise(edges):
        reader.feed(data[begin:end])

    assert reader.close() == read(WRONG)


def test_times_are_keyed_by_the_mode_under_way() -> None:
    mode = "[RUN] compile ...\n[RUN]   effective_us (100 rounds) min={0}.0 median={0}.5 mean={0}.6 max={0}.9\n"
    times = read(mode.format(540) + mode.format(9100)).times

    assert {name: (time.rounds, time.median_us) for name, time in times.items()} == {
        "1": (100, 540.5),
        "2": (100, 9100.5),
    }


def test_a_second_mode_does_not_hide_a_failure_of_the_first() -> None:
    text = "[RUN] compile ...\n[RUN]   'y' FAIL  shape=(1,)\n[RUN] compile ...\n[RUN]   'y' PASS  shape=(1,)\n"

    assert {name: claim.passed for name, claim in read(text).claims.items()} == {"y": False, "2/y": True}


def test_a_pass_after_a_failure_of_the_same_output_does_not_take_it_back() -> None:
    assert not read("[RUN]   'y' FAIL  shape=(1,)\n[RUN]   'y' PASS  shape=(1,)\n").claims["y"].passed


def test_only_a_pass_line_that_validated_counts() -> None:
    seen = read("[RUN] PASS (1.0s, validation skipped: no golden_fn or golden_data)\n[RUN] compile done (0.1s)\n")

    assert (seen.passes, "validation skipped" in seen.unvalidated) == (0, True)


def test_a_pass_line_within_other_text_is_none() -> None:
    assert read("echo '[RUN] PASS (1.0s)'\nx[RUN] PASS (1.0s)\n").passes == 0


def test_bytes_that_are_no_text_and_lines_without_end_are_survived() -> None:
    seen = read(b"\xff\xfe\x00" + b"y" * (1 << 20) + b"\n[RUN] PASS (1.0s)\r\n\xc3\x28")

    assert seen.passes == 1
    assert len(seen.last) < 1000


def test_the_number_of_outputs_that_are_kept_is_bounded() -> None:
    lines = "".join(f"[RUN]   'y{number}' PASS  shape=(1,)\n" for number in range(5000))

    assert len(read(lines).claims) == 1000


def test_times_that_are_no_numbers_are_left_out() -> None:
    assert read("[RUN]   effective_us (1 rounds) min=1.2.3 median=1 mean=1 max=1\n").times == {}


@pytest.mark.parametrize(
    "line",
    [
        "golden:  10%\rgolden: 100%\r[RUN]   'y' FAIL  shape=(1, 2)\n",
        "\x1b[32m[RUN]\x1b[0m   'y' FAIL  shape=(1, 2)\x1b[K\r\n",
        "\x1b]0;title\x07[RUN]   'y' FAIL  shape=(1, 2)\n",
        "2026-11-30T00:01:02.123456Z [RUN]   'y' FAIL  shape=(1, 2)\n",
        "[2026-11-30 00:01:02,123] [RUN]   'y' FAIL  shape=(1, 2)\n",
        "[00:01:02][RUN]   'y' FAIL  shape=(1, 2)\n",
    ],
)
def test_progress_bars_colours_and_time_stamps_hide_nothing(line: str) -> None:
    assert {name: claim.passed for name, claim in read(line).claims.items()} == {"y": False}


def test_what_is_behind_a_time_stamp_keeps_its_indentation() -> None:
    text = "".join(f"2026-11-30 00:01:02 {line}\n" for line in WRONG.splitlines())

    assert read(text) == read(WRONG)


def test_modes_are_named_where_the_output_names_them() -> None:
    text = "--- qkv decode: B=4, S=1 ---\n[RUN] compile ...\n[RUN]   'y' PASS  shape=(1,)\n[RUN] PASS (1s)\n"
    seen = read(text + text.replace("decode", "prefill") + text)

    assert [each.name for each in seen.programs] == ["decode", "prefill", "decode 3"]
    assert list(seen.claims) == ["y", "prefill/y", "decode 3/y"]


def test_more_programs_than_are_followed_is_no_pass() -> None:
    seen = read("[RUN] compile ...\n[RUN]   'y' PASS  shape=(1,)\n[RUN] PASS (1s)\n" * 1001)

    assert "more than 1000 programs" in seen.unvalidated


@pytest.mark.parametrize("name", ["mode", "mode_name", "output"])
def test_a_group_that_catches_nothing_is_survived(name: str) -> None:
    pattern = r"^(?P<mode>x)?(?P<name>x)?(?P<verdict>x)?begin"
    lines = Lines.model_validate({**shipped().lines.model_dump(), name: pattern})
    reader = Reader(shipped().model_copy(update={"lines": lines}))
    reader.feed(b"begin\n[RUN]   'y' FAIL  shape=(1,)\n")
    seen = reader.close()

    assert seen.last.startswith("[RUN]") and seen.passes == 0


def test_a_count_that_is_no_number_is_left_out() -> None:
    mismatch = {**shipped().lines.mismatch.model_dump(), "count": r"error_count=(?P<wrong>\S+?)/(?P<total>\w+)"}
    lines = Lines.model_validate({**shipped().lines.model_dump(), "mismatch": mismatch})
    reader = Reader(shipped().model_copy(update={"lines": lines}))
    reader.feed(WRONG.replace("12/32768", "many/32768").encode())

    claim = reader.close().claims["qr"]
    assert (claim.wrong, claim.total, claim.passed) == (None, 32768, False)


def timed(text: str, time: str, **more: object) -> dict[str, tuple[object, ...]]:
    """Rounds, minimum, median, mean and maximum of each mode in `text`, where `time` finds them."""
    lines = Lines.model_validate({**shipped().lines.model_dump(), "time": time, **more})
    reader = Reader(shipped().model_copy(update={"lines": lines}))
    reader.feed(text.encode())
    found = reader.close().times
    return {mode: (each.rounds, each.min_us, each.median_us, each.mean_us, each.max_us) for mode, each in found.items()}


MEAN = r"avg (?P<mean>\S+) us"


@pytest.mark.parametrize(
    ("text", "time", "more", "told"),
    [
        ("1 us\n4 us\n1 us\n", r"^(?P<us>\S+) us$", {}, (3, 1.0, 1.0, 2.0, 4.0)),
        ("times: [4, 1.0, 1e0] us\n", r"times: \[(?P<samples>.*)\]", {}, (3, 1.0, 1.0, 2.0, 4.0)),
        ("times: 4\ntimes: 1 1\n", r"times: (?P<samples>.*)", {}, (3, 1.0, 1.0, 2.0, 4.0)),
        ("avg 0.5 us of 20\n", MEAN + r" of (?P<rounds>\d+)", {"statistic": "mean"}, (20, 0.5, 0.5, 0.5, 0.5)),
        ("avg 0.5 us\n", MEAN, {"statistic": "mean", "rounds": 7}, (7, 0.5, 0.5, 0.5, 0.5)),
        ("avg 0.5 us\n", MEAN, {"statistic": "mean", "rounds": 7, "unit": "ms"}, (7, 500.0, 500.0, 500.0, 500.0)),
        (
            "p50 2 min 1\n",
            r"p50 (?P<median>\S+)(?: min (?P<min>\S+))?",
            {"rounds": 5},
            (5, 1.0, 2.0, 2.0, 2.0),
        ),
    ],
)
def test_samples_and_a_statistic_of_so_many_rounds_are_times(
    text: str, time: str, more: dict[str, object], told: tuple[object, ...]
) -> None:
    assert timed(text, time, **more) == {"1": told}


def test_a_time_of_no_rounds_is_none() -> None:
    (printed,) = read("[RUN]   effective_us (0 rounds) min=1 median=1 mean=1 max=1\n").times.values()

    assert printed.problem.endswith("a time is of at least one round")


@pytest.mark.parametrize(
    ("time", "more", "told"),
    [
        (r"(?P<mean>\S+) of (?P<rounds>\d+)", {}, "has no group (?P<median>…)"),
        (r"(?P<median>\S+)", {}, "has no group (?P<rounds>…)"),
        (r"(?P<median>\S+)", {"rounds": 0}, "greater than or equal to 1"),
        (r"(?P<median>\S+)", {"rounds": 2, "unit": "min"}, "Input should be 'ns'"),
    ],
)
def test_a_printed_time_needs_its_statistic_and_its_rounds(time: str, more: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(told)):
        Lines.model_validate({"time": time, **more})

"""What is said of a commit's files: the rules it changes, and the lines that set what was refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci.forge.protocol import Annotation, AnnotationLevel
from ci.runner import annotations as remarks
from ci.runner.examination import Examination
from farm.model.run import RunRecord, Verdict
from jobs.records import Failure, Fault, TrialStatus
from kernel.errors import GuardError
from tests.farm import samples

NOTHING = Examination((), ())
GUARD = str(GuardError("D / split_k", 4096, 3, "choose a divisor"))


def refused(message: str = GUARD, kind: str = "tuning") -> RunRecord:
    """A run whose build was refused."""
    failure = Failure(fault=Fault.KERNEL, kind=kind, message=message)
    return samples.run(verdict=Verdict.FAILED, trials=[], builds=[samples.build(failure=failure)])


def rules(*paths: str) -> Examination:
    """A commit that changes these rules."""
    return Examination(paths, ())


def places(found: list[Annotation]) -> list[tuple[str, int]]:
    return [(each.path, each.start_line) for each in found]


def lines(text: str, message: str = GUARD) -> list[int]:
    """Lines of one file that are remarked on."""
    return [each.start_line for each in remarks.located(refused(message), {"kernel/k/tuning.py": text})]


def test_the_line_that_sets_a_refused_knob_is_named_with_the_guards_own_words() -> None:
    files = {"kernel/k/tuning.py": "class Tuning:\n    split_k: int = 3  # products over D\n    rows: int = 4\n"}

    (found,) = remarks.located(refused(), files)

    assert (found.path, found.start_line, found.end_line) == ("kernel/k/tuning.py", 2, 2)
    assert (found.level, found.title, found.message) == (AnnotationLevel.FAILURE, "split_k is refused", GUARD)


@pytest.mark.parametrize(
    "line",
    [
        "split_k = 3",
        "    split_k=3,",
        "split_k: int = 3",
        "split_k: Literal['a', 'b'] = 3",
        '"split_k": 3,',
        "'split_k': 3,",
        "BEST = Tuning(rows=4, split_k=3)",
        'BEST = {"rows": 4, "split_k": 3}',
        "best = { rows = 4, split_k = 3 }",
        "def tuned(split_k: int = 3) -> Tuning:",
    ],
)
def test_every_way_of_giving_a_knob_a_value_is_seen(line: str) -> None:
    assert lines(f"first\n{line}\nlast") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "# split_k = 3",
        "rows = 4  # split_k = 3 would be wrong",
        "if split_k == 3:",
        "assert split_k != 3",
        "x = tuning.split_k",
        "kv_split_k = 3",
        "split_k_of = 3",
        "return split_k",
        "split_k",
        "split_k = ",
        "",
    ],
)
def test_what_only_names_a_knob_is_not(line: str) -> None:
    assert lines(f"first\n{line}\nlast") == []


def test_every_knob_of_a_guard_is_named_wherever_it_is_set() -> None:
    message = "D / split_k is 1024, which 768 = proj_k_l0 * proj_k_stages does not divide"
    files = {
        "a/tunings.toml": "[tiny]\nproj_k_stages = 3\n\n[flash-s2]\nproj_k_stages = 8\n",
        "a/tuning.py": "split_k: int = 4\nproj_k_l0: int = 256\nrows: int = 1\n",
    }

    found = remarks.located(refused(message), files)

    assert places(found) == [("a/tunings.toml", 2), ("a/tunings.toml", 5), ("a/tuning.py", 1), ("a/tuning.py", 2)]


def test_knobs_that_a_message_only_offers_are_not_remarked_on() -> None:
    message = "unknown tuning key 'splt_k'; known: rows, split_k"

    assert lines("splt_k = 3\nsplit_k = 4\nrows = 2\n", message) == [1]


def test_a_compile_error_that_names_a_knob_leads_to_it_and_other_faults_lead_nowhere() -> None:
    files = {"k.py": "split_k = 3\n"}

    assert places(remarks.located(refused(kind="compile"), files)) == [("k.py", 1)]
    assert remarks.located(refused(kind="unwritten-output"), files) == []


def test_what_a_trial_was_refused_for_counts_as_well() -> None:
    failure = Failure(fault=Fault.KERNEL, kind="tuning", message=GUARD)
    trial = samples.lost_trial("n/0", status=TrialStatus.FAILED, failure=failure)
    record = samples.run(verdict=Verdict.FAILED, trials=[trial])

    assert places(remarks.located(record, {"k.py": "split_k = 3"})) == [("k.py", 1)]


def test_three_cases_with_one_message_make_one_remark() -> None:
    failure = Failure(fault=Fault.KERNEL, kind="tuning", message=GUARD)
    builds = [samples.build(case, failure=failure) for case in ("tiny", "flash-s1", "flash-s2")]
    record = samples.run(verdict=Verdict.FAILED, trials=[], builds=builds)

    assert places(remarks.located(record, {"k.py": "split_k = 3"})) == [("k.py", 1)]


@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.ERRORED, None])
def test_only_a_failure_is_held_against_a_line(verdict: Verdict | None) -> None:
    record = refused().model_copy(update={"verdict": verdict})

    assert remarks.located(record, {"k.py": "split_k = 3"}) == []


def test_a_file_of_a_thousand_such_lines_gets_no_more_remarks_than_a_check_takes() -> None:
    assert lines("split_k = 3\n" * 1000) == list(range(1, 51))


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=200), max_size=3), st.text(max_size=100))
def test_whatever_a_commit_and_its_program_say_a_remark_is_on_a_line_that_there_is(
    files: dict[str, str], message: str
) -> None:
    for found in remarks.located(refused(message), files):
        assert 1 <= found.start_line <= len(files[found.path].splitlines())
        assert found.title.removesuffix(" is refused") in files[found.path].splitlines()[found.start_line - 1]


def test_a_commit_that_changes_no_rule_has_no_note() -> None:
    assert remarks.approved(NOTHING, "maintainer") == ""


def test_changed_rules_are_listed_with_who_approved_them() -> None:
    note = remarks.approved(rules("kernel/k/golden.py", "budgets.toml"), "maintainer")

    assert note.startswith("> **This commit changes the rules of the gate.** It was judged by those in force.")
    assert "Approved by `maintainer`." in note
    assert note.endswith("- `kernel/k/golden.py`\n- `budgets.toml`")
    assert "Approved" not in remarks.approved(rules("budgets.toml"), "")


def test_a_held_commit_lists_what_it_waits_for() -> None:
    assert remarks.held_for(rules("budgets.toml")) == (
        "This commit changes the rules of the gate:\n\n- `budgets.toml`\n\nThe rules in force do not come from it."
    )


def test_a_new_target_is_named_before_and_after_its_approval() -> None:
    found = Examination((), (), new=("models/new.py",))

    assert found.needs_approval and found.reason == "adds targets that only their own rules judge: models/new.py"
    assert "- `models/new.py`" in remarks.held_for(found) and "by its own rules" in remarks.held_for(found)
    note = remarks.approved(found, "will")
    assert note.startswith("> **These targets are new in this commit**, and each was judged by its own rules. Approved")


def test_an_implausible_gain_is_named_before_and_after_its_approval() -> None:
    gains = Examination((), (), implausible=("tiny takes 20.00 µs instead of 40.00 µs",))

    assert "- tiny takes 20.00 µs instead of 40.00 µs" in remarks.held_for(gains)
    assert "Approved by `maintainer`" in remarks.approved(gains, "maintainer")
    assert "- tiny takes 20.00 µs" in remarks.approved(gains, "maintainer")


def test_a_flood_of_rules_is_cut_and_counted() -> None:
    note = remarks.held_for(rules(*(f"rules/{number}" for number in range(500))))

    assert "- `rules/19`\n- and 480 more\n" in note
    assert "rules/20" not in note


def test_a_path_cannot_become_markup() -> None:
    note = remarks.approved(rules("a`b\n# heading <img src=x> @team"), "x`](https://evil.example)")

    assert "\n# heading" not in note
    assert "- ``a`b # heading <img src=x> @team``" in note
    assert "``x`](https://evil.example)``" in note

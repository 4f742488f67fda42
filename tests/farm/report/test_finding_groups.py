"""What a gate found alike on several devices and repeats is one line."""

from __future__ import annotations

from farm.model.run import Finding
from farm.report.run.finding_groups import grouped


def found(device: str | None, repeat: int | None, message: str = "wrong") -> Finding:
    return Finding(message=message, case="tiny", output="q", device=device, repeat=repeat)


def test_what_differs_in_device_and_repeat_alone_is_one_group() -> None:
    (group,) = grouped([found(device, repeat) for device in ("n/0", "n/1") for repeat in (0, 1)])

    assert (group.on_devices, group.in_repeats) == ("devices n/0, n/1", "repeats 0, 1")


def test_repeats_that_are_not_the_same_on_every_device_are_not_named() -> None:
    (group,) = grouped([found("n/0", 0), found("n/0", 1), found("n/1", 1)])

    assert (group.on_devices, group.in_repeats) == ("devices n/0, n/1", "")


def test_other_words_are_another_group_in_the_gates_order() -> None:
    groups = grouped([found("n/0", None, "b"), found("n/1", None, "a"), found(None, None, "b")])

    assert [(group.message, group.on_devices) for group in groups] == [("b", "device n/0"), ("a", "device n/1")]


def test_the_same_words_of_another_output_are_another_group() -> None:
    groups = grouped([found("n/0", 0), found("n/0", 0).model_copy(update={"output": "kv"})])

    assert [group.output for group in groups] == ["q", "kv"]


def test_of_many_devices_the_first_are_named_and_the_others_counted() -> None:
    (group,) = grouped([found(f"n/{number}", 0) for number in range(100)])

    assert group.on_devices.endswith("n/7 and 92 more")
    assert group.in_repeats == "repeat 0"

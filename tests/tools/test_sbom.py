"""The bill of materials names what ships, at the pinned versions, and is the same for the same commit."""

from __future__ import annotations

import sys

from tools import closure, sbom, wheels

BILL = sbom.bill(1_790_000_000)


def test_it_is_a_cyclonedx_document_of_the_farm() -> None:
    assert (BILL["bomFormat"], BILL["specVersion"], BILL["version"]) == ("CycloneDX", "1.6", 1)
    assert BILL["serialNumber"].startswith("urn:uuid:")
    assert BILL["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    assert BILL["metadata"]["component"]["name"] == "npu-kernel-farm"


def test_every_package_that_ships_is_listed_once_at_its_pinned_version() -> None:
    pinned = wheels.pins(sys.version_info[:2])
    shipped = closure.base().union(*(closure.extra(each) for each in closure.EXTRAS))
    listed = [(each["name"], each["version"]) for each in BILL["components"]]

    assert listed == [(name, pinned[name]) for name in sorted(shipped)]
    assert all(
        each["purl"] == each["bom-ref"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in BILL["components"]
    )


def test_the_base_is_required_and_extras_are_optional() -> None:
    scopes = {each["name"]: each["scope"] for each in BILL["components"]}

    assert (scopes["torch"], scopes["ray"], scopes["fastapi"], scopes["optuna"]) == (
        "required",
        "required",
        "optional",
        "optional",
    )


def test_every_dependency_is_a_component() -> None:
    known = {each["bom-ref"] for each in BILL["components"]}
    edges = {each["ref"]: set(each["dependsOn"]) for each in BILL["dependencies"]}
    own = BILL["metadata"]["component"]["bom-ref"]

    assert edges.keys() == {*known, own}
    assert set().union(*edges.values()) <= known
    assert {name.partition("@")[0] for name in edges[own]} >= {"pkg:pypi/torch", "pkg:pypi/fastapi", "pkg:pypi/apprise"}


def test_the_same_time_gives_the_same_document() -> None:
    assert sbom.bill(1_790_000_000) == BILL
    assert sbom.bill(1)["serialNumber"] != BILL["serialNumber"]

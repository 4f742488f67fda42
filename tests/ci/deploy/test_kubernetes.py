"""The Kubernetes manifests against the published schemas, and what they promise about security and devices."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

MANIFESTS = Path(__file__).parents[3] / "ci" / "deploy" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "1.33"
NPU = "huawei.com/Ascend910"


def documents() -> list[dict[str, Any]]:
    return [document for path in sorted(MANIFESTS.glob("*.yaml")) for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents() if document["kind"] == kind]
    return found


def problems(document: dict[str, Any]) -> list[str]:
    """What the schema of its kind has against `document`."""
    if document["apiVersion"].startswith("ray.io/"):
        schema = json.loads((SCHEMAS / f"{document['kind'].lower()}.json").read_text())
        return [error.message for error in Draft202012Validator(schema).iter_errors(document)]
    try:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    return []


def pods() -> list[dict[str, Any]]:
    """The pod specs of all manifests."""
    cluster = of_kind("RayCluster")["spec"]
    templates = [cluster["headGroupSpec"]["template"], *(group["template"] for group in cluster["workerGroupSpecs"])]
    templates.append(of_kind("RayJob")["spec"]["submitterPodTemplate"])
    templates.append(of_kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"])
    return [template["spec"] for template in templates]


def misspelt(document: dict[str, Any], path: list[str | int]) -> dict[str, Any]:
    """`document` with one key wrong."""
    wrong = copy.deepcopy(document)
    place: Any = wrong
    for step in path[:-1]:
        place = place[step]
    place[f"{path[-1]}x"] = place.pop(path[-1])
    return wrong


@pytest.mark.parametrize("document", documents(), ids=lambda document: document["kind"])
def test_a_manifest_fits_its_schema(document: dict[str, Any]) -> None:
    assert problems(document) == []


WORKER: list[str | int] = ["spec", "workerGroupSpecs", 0]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("RayCluster", ["spec", "authOptions"]),
        ("RayCluster", ["spec", "authOptions", "secretName"]),
        ("RayCluster", [*WORKER, "rayStartParams"]),
        ("RayCluster", [*WORKER, "template", "spec", "securityContext", "runAsNonRoot"]),
        ("RayCluster", [*WORKER, "template", "spec", "containers", 0, "livenessProbe", "httpGet"]),
        ("RayJob", ["spec", "clusterSelector"]),
        ("RayJob", ["spec", "submitterPodTemplate", "spec", "containers", 0, "resources", "limits"]),
        ("CronJob", ["spec", "concurrencyPolicy"]),
        ("CronJob", ["spec", "jobTemplate", "spec", "template", "spec", "containers", 0, "securityContext"]),
        ("NetworkPolicy", ["spec", "podSelector"]),
    ],
)
def test_a_misspelt_key_does_not_fit(kind: str, path: list[str | int]) -> None:
    assert problems(misspelt(of_kind(kind), path)) != []


def test_a_wrong_type_does_not_fit() -> None:
    cluster = copy.deepcopy(of_kind("RayCluster"))
    cluster["spec"]["workerGroupSpecs"][0]["rayStartParams"]["num-cpus"] = 0  # must be text

    assert problems(cluster) != []


def test_ray_is_told_of_as_many_npus_as_kubernetes_gives() -> None:
    for group in of_kind("RayCluster")["spec"]["workerGroupSpecs"]:
        declared = json.loads(json.loads(group["rayStartParams"]["resources"]))["NPU"]
        resources = group["template"]["spec"]["containers"][0]["resources"]

        assert resources["limits"][NPU] == resources["requests"][NPU] == declared


def test_the_cluster_asks_for_a_token_from_a_secret() -> None:
    auth = of_kind("RayCluster")["spec"]["authOptions"]

    assert (auth["mode"], auth["secretName"]) == ("token", "npu-farm-token")
    assert not [document for document in documents() if document["kind"] == "Secret"]  # it is made on site


def test_nothing_is_reachable_from_outside_the_cluster() -> None:
    assert {document["kind"] for document in documents()} == {"RayCluster", "RayJob", "CronJob", "NetworkPolicy"}
    assert of_kind("RayCluster")["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"
    for pod in pods():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()


def test_no_pod_has_more_rights_than_it_needs() -> None:
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert not pod["automountServiceAccountToken"]
        for container in pod["containers"]:
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert {"cpu", "memory"} <= container["resources"]["limits"].keys()


def test_the_sweep_ends_before_kubernetes_ends_it() -> None:
    job = of_kind("CronJob")["spec"]["jobTemplate"]["spec"]
    arguments = job["template"]["spec"]["containers"][0]["args"]
    budget_minutes = int(arguments[arguments.index("--budget-minutes") + 1])

    assert budget_minutes * 60 < job["activeDeadlineSeconds"]

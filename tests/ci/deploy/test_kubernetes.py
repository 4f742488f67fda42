"""The Kubernetes manifests against the published schemas, and what they promise about security and devices."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, cast

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from farm.cluster import connection
from farm.model.timeouts import Timeouts
from tests.waiting import until

MANIFESTS = Path(__file__).parents[3] / "ci" / "deploy" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
KUBERNETES = "1.33"
NPU = "huawei.com/Ascend910"


FILES = sorted(path for path in MANIFESTS.glob("*.yaml") if path.name != "kustomization.yaml")


def documents() -> list[dict[str, Any]]:
    return [document for path in FILES for document in yaml.safe_load_all(path.read_text())]


def of_kind(kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [
        document
        for document in documents()
        if document["kind"] == kind and (not name or document["metadata"]["name"] == name)
    ]
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
    templates += [of_kind(kind)["spec"]["template"] for kind in ("StatefulSet", "Deployment")]
    return [template["spec"] for template in templates]


def misspelt(document: dict[str, Any], path: list[str | int]) -> dict[str, Any]:
    """`document` with one key wrong."""
    wrong = copy.deepcopy(document)
    place: Any = wrong
    for step in path[:-1]:
        place = place[step]
    place[f"{path[-1]}x"] = place.pop(path[-1])
    return wrong


def named(document: dict[str, Any]) -> str:
    metadata = document["metadata"]
    return f"{document['kind']}-{metadata.get('name') or metadata['generateName']}"


@pytest.mark.parametrize("document", documents(), ids=named)
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
        ("StatefulSet", ["spec", "volumeClaimTemplates"]),
        ("Deployment", ["spec", "strategy"]),
        ("Ingress", ["spec", "rules", 0, "http", "paths", 0, "backend"]),
    ],
)
def test_a_misspelt_key_does_not_fit(kind: str, path: list[str | int]) -> None:
    document = of_kind(kind, "npu-farm" if kind == "NetworkPolicy" else "")
    assert problems(misspelt(document, path)) != []


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


def test_only_the_service_is_reachable_from_outside_and_only_through_the_ingress() -> None:
    kinds = {document["kind"] for document in documents()}
    workloads = {"RayCluster", "RayJob", "CronJob", "StatefulSet", "Deployment"}
    assert kinds == {*workloads, "NetworkPolicy", "Service", "Ingress"}
    assert of_kind("RayCluster")["spec"]["headGroupSpec"]["serviceType"] == "ClusterIP"
    services = [document for document in documents() if document["kind"] == "Service"]
    assert {document["spec"].get("type", "ClusterIP") for document in services} == {"ClusterIP"}
    backend = of_kind("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]
    assert backend == "npu-farm-serve"
    assert of_kind("Ingress")["spec"]["tls"]
    guarded = [
        document["spec"]["podSelector"]["matchLabels"]
        for document in documents()
        if document["kind"] == "NetworkPolicy"
    ]
    assert guarded == [{"ray.io/cluster": "npu-farm"}, {"app": "npu-farm-redis"}, {"app": "npu-farm-serve"}]
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
    arguments = shlex.split(job["template"]["spec"]["containers"][0]["args"][0], comments=False)
    budget_minutes = int(arguments[arguments.index("--budget-minutes") + 1])

    assert budget_minutes * 60 < job["activeDeadlineSeconds"]


def test_a_job_lives_longer_than_its_run_and_its_wait() -> None:
    job = of_kind("RayJob")["spec"]
    words = shlex.split(job["entrypoint"])
    wait_s = float(words[words.index("--wait") + 1])

    assert job["activeDeadlineSeconds"] > Timeouts().run_s + wait_s


def container(name: str) -> dict[str, Any]:
    (found,) = [each for pod in pods() for each in pod["containers"] if each["name"] == name]
    return cast("dict[str, Any]", found)


def variables(of: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") or each["valueFrom"] for each in of["env"]}


def test_devices_are_called_by_their_node_and_each_node_has_one_pod() -> None:
    worker = container("ray-worker")
    (group,) = of_kind("RayCluster")["spec"]["workerGroupSpecs"]
    affinity = group["template"]["spec"]["affinity"]["podAntiAffinity"][
        "requiredDuringSchedulingIgnoredDuringExecution"
    ]

    assert of_kind("RayCluster")["metadata"]["annotations"] == {"ray.io/overwrite-container-cmd": "true"}
    assert f"{connection.NODE_LABEL}=$NODE_NAME" in worker["args"][0]
    assert variables(worker)["NODE_NAME"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert affinity[0]["topologyKey"] == "kubernetes.io/hostname"
    assert affinity[0]["labelSelector"]["matchLabels"]["ray.io/group"] == group["groupName"]
    assert "labels" not in group, "KubeRay would add a second --labels"


def test_the_store_is_no_file_on_a_claim() -> None:
    for name in ("ray-head", "ray-worker", "serve"):
        found = variables(container(name))
        assert found["FARM_STORE"] == {"secretKeyRef": {"name": "npu-farm-store", "key": "url"}}, name


def test_the_head_keeps_its_memory_in_the_redis_of_these_files() -> None:
    options = of_kind("RayCluster")["spec"]["gcsFaultToleranceOptions"]
    service = of_kind("Service", "npu-farm-redis")

    assert options["redisAddress"] == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    password = options["redisPassword"]["valueFrom"]
    assert variables(container("redis"))["PASSWORD"] == password
    assert service["spec"]["selector"] == of_kind("StatefulSet")["spec"]["template"]["metadata"]["labels"]


def test_every_secret_and_claim_is_in_the_guide() -> None:
    guide = (MANIFESTS.parent / "README.md").read_text()
    text = "".join(path.read_text() for path in FILES)
    secrets = set(re.findall(r"secretKeyRef: \{name: ([a-z-]+)", text)) | {"npu-farm-service"}

    assert secrets == {"npu-farm-token", "npu-farm-store", "npu-farm-redis", "npu-farm-service"}
    for name in secrets:
        assert f"kubectl create secret generic {name} " in guide


def test_all_that_lasts_is_applied_together() -> None:
    kustomization = yaml.safe_load((MANIFESTS / "kustomization.yaml").read_text())

    assert sorted(kustomization["resources"]) == [path.name for path in FILES if path.name != "rayjob-validate.yaml"]


def test_a_sweep_that_kubernetes_ends_ends_its_job_on_the_cluster(tmp_path: Path) -> None:
    """The manifest's own script, with a `ray` that writes down what it is called with and waits for its job."""
    said = tmp_path / "said"
    ray = tmp_path / "ray"
    ray.write_text(f'#!/bin/sh\necho "$@" >> {said}\n[ "$2" = submit ] && exec sleep 100\nexit 0\n')
    ray.chmod(0o755)

    with subprocess.Popen(
        ["/bin/bash", "-c", _script()], env={"PATH": f"{tmp_path}:/usr/bin:/bin", "ADDRESS": "http://head:8265"}
    ) as process:
        until(said.exists)
        process.terminate()
        code = process.wait(30)

    submitted, stopped = said.read_text().splitlines()
    words = submitted.split()
    job = words[words.index("--submission-id") + 1]
    assert words[words.index("--") + 1 :][:2] == ["farm", "sweep"]
    assert stopped == f"job stop --address http://head:8265 {job}"
    assert code == 143


def test_a_sweeps_exit_code_is_the_jobs(tmp_path: Path) -> None:
    ray = tmp_path / "ray"
    ray.write_text("#!/bin/sh\nexit 3\n")
    ray.chmod(0o755)

    done = subprocess.run(["/bin/bash", "-c", _script()], env={"PATH": f"{tmp_path}:/usr/bin:/bin", "ADDRESS": "x"})

    assert done.returncode == 3


def _script() -> str:
    job = of_kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return str(job["containers"][0]["args"][0])

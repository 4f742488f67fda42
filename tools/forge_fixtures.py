"""Fetches what the tests of the merge gate are held to, from independent public packages, and keeps the parts used.

    python -m tools.forge_fixtures      # needs npm and node

Writes `tests/data/github/openapi.json` (GitHub's published OpenAPI description, pruned to the operations used) and
`tests/data/github/deliveries.json` (published example payloads, each signed by octokit's own signing package).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "tests" / "data" / "github"
PACKAGES = ("@octokit/openapi@23.0.2", "@octokit/webhooks-examples@7.6.1", "@octokit/webhooks-methods@6.0.0")
SECRET = "It's a Secret to Everybody"  # GitHub's own example of one

OPERATIONS = {
    "/app": ["get"],
    "/app/hook/deliveries": ["get"],
    "/app/hook/deliveries/{delivery_id}/attempts": ["post"],
    "/app/installations/{installation_id}/access_tokens": ["post"],
    "/repos/{owner}/{repo}/branches/{branch}": ["get"],
    "/repos/{owner}/{repo}/check-runs": ["post"],
    "/repos/{owner}/{repo}/check-runs/{check_run_id}": ["patch"],
    "/repos/{owner}/{repo}/collaborators/{username}/permission": ["get"],
    "/repos/{owner}/{repo}/commits/{ref}/check-runs": ["get"],
    "/repos/{owner}/{repo}/hooks": ["get"],
    "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries": ["get"],
    "/repos/{owner}/{repo}/hooks/{hook_id}/deliveries/{delivery_id}/attempts": ["post"],
    "/repos/{owner}/{repo}/installation": ["get"],
    "/repos/{owner}/{repo}/issues": ["get", "post"],
    "/repos/{owner}/{repo}/issues/comments/{comment_id}": ["patch"],
    "/repos/{owner}/{repo}/issues/{issue_number}": ["patch"],
    "/repos/{owner}/{repo}/issues/{issue_number}/comments": ["get", "post"],
    "/repos/{owner}/{repo}/pulls": ["get"],
    "/repos/{owner}/{repo}/pulls/{pull_number}": ["get"],
    "/repos/{owner}/{repo}/pulls/{pull_number}/files": ["get"],
    "/user": ["get"],
}
EXAMPLES = {  # of each action, one
    "check_run": ["created", "requested_action", "rerequested"],
    "check_suite": ["completed", "rerequested"],
    "installation": ["created"],
    "issue_comment": ["created", "edited"],
    "merge_group": ["checks_requested"],
    "ping": [""],
    "pull_request": ["opened", "synchronize", "reopened", "ready_for_review", "closed", "labeled"],
    "push": [""],
    "star": ["created"],
}
_NOISE = ("description", "example", "examples", "externalDocs", "x-github", "operationId", "tags", "summary")


def main() -> int:
    """Write both files."""
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folders = [_unpack(package, Path(scratch)) for package in PACKAGES]
        description = json.loads((folders[0] / "generated" / "api.github.com.json").read_text())
        published = json.loads((folders[1] / "api.github.com" / "index.json").read_text())
        _write("openapi.json", pruned(description, OPERATIONS))
        _write("deliveries.json", _deliveries(published, folders[2]))
    return 0


def pruned(description: dict[str, Any], operations: dict[str, list[str]]) -> dict[str, Any]:
    """The description of `operations` alone, with the components they need and without prose."""
    kept: dict[str, Any] = {"openapi": description["openapi"], "paths": {}, "components": {}}
    kept["info"] = {"title": description["info"]["title"], "version": description["info"]["version"]}
    kept["info"]["license"] = description["info"]["license"]
    kept["info"]["x-source"] = f"npm {PACKAGES[0]}, generated from github.com/github/rest-api-description; pruned"
    kept["servers"] = [{"url": "/"}]
    for path, methods in operations.items():
        kept["paths"][path] = {method: _quiet(description["paths"][path][method]) for method in methods}
    waiting = list(_references(kept["paths"]))
    while waiting:
        _, _, kind, name = waiting.pop().split("/")
        known = kept["components"].setdefault(kind, {})
        if name not in known:
            known[name] = _quiet(description["components"][kind][name])
            if kind == "responses":
                _describe(known[name])
            waiting.extend(_references(known[name]))
    return kept


def _quiet(value: Any, inside: str = "") -> Any:
    """`value` without prose. Keys of `inside` "properties" and "responses" are names, not keywords."""
    if isinstance(value, list):
        return [_quiet(each) for each in value]
    if not isinstance(value, dict):
        return value
    named = inside in ("properties", "responses")
    quiet = {key: _quiet(each, "" if named else key) for key, each in value.items() if named or key not in _NOISE}
    if inside == "responses":
        for response in quiet.values():
            _describe(response)
    return quiet


def _describe(response: dict[str, Any]) -> None:
    """OpenAPI requires a description of each response."""
    if "$ref" not in response:
        response["description"] = ""


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in _references(each)]
    return [found for each in value for found in _references(each)] if isinstance(value, list) else []


def _deliveries(published: list[dict[str, Any]], signer: Path) -> dict[str, Any]:
    chosen = []
    for group in published:
        for action in EXAMPLES.get(group["name"], []):
            payload = next(each for each in group["examples"] if each.get("action", "") == action)
            chosen.append({"event": group["name"], "action": action, "body": json.dumps(payload, ensure_ascii=False)})
    script = (
        "const { sign } = await import(process.argv[1]);"
        "const given = JSON.parse(await new Response(process.stdin).text());"
        "const made = await Promise.all(given.bodies.map((body) => sign(given.secret, body)));"
        "console.log(JSON.stringify(made));"
    )
    given = json.dumps({"secret": SECRET, "bodies": [each["body"] for each in chosen]})
    command = ["node", "--input-type=module", "-e", script, str(signer / "dist-node" / "index.js")]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    for each, signature in zip(chosen, json.loads(done.stdout), strict=True):
        each["signature"] = signature
    source = f"payloads of npm {PACKAGES[1]}, signatures made with npm {PACKAGES[2]}; both MIT, © Octokit contributors"
    return {"source": source, "secret": SECRET, "deliveries": chosen}


def _unpack(package: str, scratch: Path) -> Path:
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=scratch, capture_output=True, text=True, check=True
    )
    folder = scratch / package.replace("/", "_")
    with tarfile.open(scratch / packed.stdout.split()[-1]) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def _write(name: str, value: Any) -> None:
    (DATA / name).write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    sys.exit(main())

"""Print the software bill of materials of the farm: CycloneDX 1.6, JSON, from the pinned versions.

    python -m tools.sbom > sbom.cdx.json

What the farm needs is read from the packages that are installed, the versions from `constraints/pyXY.txt` of this
Python. The base is `required`, what extras bring is `optional`. The same commit gives the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
import uuid
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import farm
from tools import closure, wheels

_EXTRA = re.compile(r'extra == "([^"]+)"')
_NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of URLs, RFC 4122


def bill(epoch: int) -> dict[str, Any]:
    """Return the document; `epoch` is its time, in seconds since 1970.

    Raises `KeyError` for a package without a pin.
    """
    pinned = wheels.pins(sys.version_info[:2])
    base = closure.base()
    names = sorted(base.union(*(closure.extra(each) for each in closure.EXTRAS)))
    components = [_component(name, pinned[name], "required" if name in base else "optional") for name in names]
    references = {name: _purl(name, pinned[name]) for name in names}
    own = _purl(closure.PROJECT, farm.__version__)
    declared = closure.declared()
    extras = declared["optional-dependencies"]
    asked = [*declared["dependencies"], *(need for each in closure.EXTRAS for need in extras[each])]
    direct = {own: _direct(Requirement(each) for each in asked)}
    direct |= {references[name]: _direct(closure.needs(name)) - {name} for name in names}
    needs = [
        {"ref": reference, "dependsOn": sorted(references[each] for each in found & references.keys())}
        for reference, found in direct.items()
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(_NAMESPACE, json.dumps([own, sorted(references.values()), epoch])).urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, timezone.utc).isoformat().replace("+00:00", "Z"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": closure.PROJECT,
                "version": farm.__version__,
                "purl": own,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            },
        },
        "components": components,
        "dependencies": needs,
    }


def _component(name: str, version: str, scope: str) -> dict[str, Any]:
    purl = _purl(name, version)
    made = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "scope": scope}
    licences = importlib.metadata.metadata(name).get_all("License-Expression") or []
    return {**made, "licenses": [{"expression": licences[0]}]} if licences else made


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _direct(needs: Iterable[Requirement]) -> set[str]:
    """What is asked for on this machine, for a package itself or any of its extras."""
    found = set()
    for each in needs:
        extras = _EXTRA.findall(str(each.marker)) or [""]
        if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras):
            found.add(str(canonicalize_name(each.name)))
    return found


def main() -> int:
    """Print the document, with the time of `SOURCE_DATE_EPOCH`, else 1970."""
    print(json.dumps(bill(int(os.environ.get("SOURCE_DATE_EPOCH", "0"))), indent=1, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Take the charts' script from npm again: python -m tools.plotly. Its files are part of the source, as npm has them.

`plotly.js-basic-dist-min` is the part of plotly.js that draws points, lines and bars: 1.2 MB of 4.8 MB.
The package of the same name for Python has the whole only, so it is not used. To take another version, change `VERSION`
and `SHA256` here and look at a report in a browser (`make test TESTS=tests/farm/report/test_in_browser.py`).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.set_up import ROOT

PACKAGE, VERSION = "plotly.js-basic-dist-min", "4.1.1"
SHA256 = "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"  # of the script
SCRIPT = ROOT / "farm" / "report" / "templates" / "plotly-basic.min.js"
LICENSE = SCRIPT.with_name("plotly-basic.LICENSE.txt")


def main() -> int:
    """Write the script and its licence; 1 where npm has another script under this version."""
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", place, f"{PACKAGE}@{VERSION}"], check=True)
        (archive,) = Path(place).glob("*.tgz")
        with tarfile.open(archive) as packed:
            script, terms = (_member(packed, name) for name in ("plotly-basic.min.js", "LICENSE"))
    found = hashlib.sha256(script).hexdigest()
    if found != SHA256:
        print(f"{PACKAGE} {VERSION} has the digest {found}, not {SHA256}; nothing was written", file=sys.stderr)
        return 1
    SCRIPT.write_bytes(script)
    LICENSE.write_bytes(terms)
    return 0


def _member(packed: tarfile.TarFile, name: str) -> bytes:
    found = packed.extractfile(f"package/{name}")
    if found is None:
        raise SystemExit(f"{PACKAGE} {VERSION} has no file {name}")
    return found.read()


if __name__ == "__main__":
    sys.exit(main())

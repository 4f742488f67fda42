"""The pytest plugin that `farm test` loads before all others and before any `conftest.py`.

pytest puts directories of the suite first on Python's path. A suite with a package named like one of the farm's would
take its place in the process that judges; once imported, the farm's own stay.
"""

from __future__ import annotations

from farm.process import installation

installation.require_one()
installation.pin()

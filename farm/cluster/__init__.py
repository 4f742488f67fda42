"""Reaching Ray: the connection, the head watchdog, local clusters.

The package is not imported where the installed Ray is of a minor version that it was not tried with.
"""

from farm.process.ray_version import require_tried

require_tried()  # before anything imports an interface that this version may not have

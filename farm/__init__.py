"""Many devices: planning, leases through Ray, collection, gates, reports, store and the command line."""

__version__ = "0.1.0"

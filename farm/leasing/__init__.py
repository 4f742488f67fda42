"""Exclusive devices: the device queue, placement, leases, workers, preemption."""

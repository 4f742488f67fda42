"""A whole repository of an external harness, run on all leased devices: select, lease, run, judge, report."""

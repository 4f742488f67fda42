"""Trace files per trial: Chrome JSON and Perfetto."""

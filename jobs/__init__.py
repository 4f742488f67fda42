"""What happens on one leased device: build, trial, probe, as plain functions without Ray."""

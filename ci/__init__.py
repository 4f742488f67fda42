"""The outside world: webhook service, forge, schedule, dashboard."""

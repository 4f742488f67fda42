"""The process of the service: application, life cycle, metrics."""

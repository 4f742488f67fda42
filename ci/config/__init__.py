"""The settings of the service: `farm.toml` and the environment."""

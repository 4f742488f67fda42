"""What sets a machine up, before anything is installed: standard library only."""

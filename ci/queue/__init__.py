"""Jobs: what is asked for, queued, claimed and settled."""

"""Programs and source trees from git, the rules of the gate, and provenance."""

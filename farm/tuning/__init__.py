"""Search for a better tuning, and the ledger of a tuning history."""

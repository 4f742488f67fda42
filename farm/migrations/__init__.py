"""The store's history, one script per change. `farm.database` applies what is missing when it opens a store."""

"""The store's history, one script per change. `farm.store.engine` applies what is missing when it opens a store."""

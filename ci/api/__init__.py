"""`/api/v1`: what the service knows, for programs. One file a noun, put together in `router`."""

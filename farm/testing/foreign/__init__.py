"""pytest suites of other repositories on leased devices, unmodified: `farm test --profile`."""

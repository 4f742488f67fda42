"""Where a kernel is built and run: `a2a3sim` (PyPTO's cost model and host calculator) and `a2a3` (an Ascend NPU)."""

"""What runs: intake, worker, delivery. All I/O of the engine is here; what is decided is decided elsewhere."""

"""What a training run is: its columns and their meaning, the run table, health checks, RunSpec."""

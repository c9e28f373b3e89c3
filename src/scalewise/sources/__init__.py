"""The outside world to runs: the logs of training tools, and public data sets by name."""

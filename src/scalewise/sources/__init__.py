"""The outside world to runs: log readers and public data sets by name. Not furnished yet."""

"""The outside world to runs: public data sets by name; log readers are to come."""

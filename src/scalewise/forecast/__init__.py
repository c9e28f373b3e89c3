"""Looking ahead: which law to trust, what it says of larger models, and how often it was right."""

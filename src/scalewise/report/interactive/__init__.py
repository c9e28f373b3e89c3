"""The interactive page: a fit's law and draws, evaluated in the browser from one file."""

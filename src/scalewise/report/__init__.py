"""Telling: results become cards, and cards become text, HTML and JSON. The only room that draws."""

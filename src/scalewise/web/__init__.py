"""The local dashboard: routes, templates, static files. Not furnished yet."""

"""Reports for people: one HTML file that works offline, and Markdown."""

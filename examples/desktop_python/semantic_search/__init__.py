"""A small desktop app: search a folder of texts by meaning, offline."""

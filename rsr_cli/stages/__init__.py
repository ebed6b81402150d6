"""The stages: prepare, sample, verify, format, analyze, and import; each a function of a session."""

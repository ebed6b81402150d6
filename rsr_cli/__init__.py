"""rsr: training data by rejection sampling and best-of-N."""

__version__ = "0.1.0"

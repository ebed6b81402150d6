"""The config: YAML read into typed, validated settings."""

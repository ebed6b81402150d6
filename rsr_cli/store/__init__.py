"""The work dir: its files, their columns, the journal, the state and the lock."""

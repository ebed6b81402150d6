"""Clients: the wire protocols that samplers and judges speak."""

"""The sampling loop: which attempts each group still needs, and the coroutines that request them."""

"""vLLM engines: what one does, the process or Ray actor it lives in, and the pool that shares work out to them."""

"""OpenAI's batch API, and the files of requests and answers that `vllm run-batch` reads and writes too."""

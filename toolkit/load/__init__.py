"""The load test: drives Locust as a child process, reads its rows, computes metrics and judges them."""

"""qwencode: a terminal coding agent that runs Qwen3.6-35B-A3B in its own process."""

__version__ = "0.1.0"

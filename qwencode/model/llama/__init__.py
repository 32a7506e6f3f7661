"""Qwen3.5 and Qwen3.6 inside this process, through llama.cpp. `model.LlamaModel` is the way in."""

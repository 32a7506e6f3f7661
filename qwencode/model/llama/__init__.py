"""GGUF files inside this process, through llama.cpp. `model.LlamaModel` is the way in."""

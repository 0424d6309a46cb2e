"""llamachat: a private chat and tool-use agent in the terminal, for Llama 3 models on your own hardware."""

__version__ = "0.1.0"

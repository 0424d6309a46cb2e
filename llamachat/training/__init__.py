"""How the embedded model is made: generated dialogs, a tokenizer, a training loop, an export and an evaluation."""

"""Post-training as in the Llama 3 report (arXiv 2407.21783, §4), at any scale: each method is a short file.

rows · likelihood → sft · reward · dpo, run by trainer; decoding · crew → reject; quality, average; rounds chains them.
"""

"""The GPU's kernels, one a file, and what launches them. Imported only where there is a CUDA GPU and Triton."""

"""Walls of the Linux kernel, one file for each, by ctypes: no root and no library needed. They know no Python code."""

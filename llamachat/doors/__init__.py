"""The doors beside the chat, one file for each verb of the command line. They print, and know no screen.

Each holds a typer ``app``; ``cli`` hangs it up under its name. Imports of torch and of tools come late.
"""

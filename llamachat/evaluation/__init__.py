"""Tasks with expectations: read, held without a screen through the product's own loop and python tool, and judged.

``read_tasks`` → ``evaluate`` (any ``agent.Runtime``) → ``Report``. Knows no command line, no model and no training.
"""

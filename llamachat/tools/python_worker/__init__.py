"""What runs within the walls: the python of the model, and what it may say, reach and do. Knows no parent."""

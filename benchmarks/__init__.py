"""What the study costs, measured beside the recipe that people run today."""

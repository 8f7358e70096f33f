"""How a network is trained: cached frozen features, one stage, the two recipes."""

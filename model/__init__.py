"""The networks in torch, their checkpoints and their training."""

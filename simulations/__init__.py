"""Made-up worlds with known truth, on which ferray's intervals, verdicts and predicted power are checked: ``python -m simulations``."""

"""An unlearning method that fails for a cause which an operator can take away."""

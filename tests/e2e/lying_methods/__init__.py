"""Unlearning methods that lie; an audit that may say no must refuse every one of them."""

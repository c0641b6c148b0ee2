"""Qualifies unlearning methods: many forgotten models against as many that never learned the data."""

"""The catalogue of unlearning methods: rows that workers publish, read by the API and the planner."""

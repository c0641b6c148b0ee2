"""The demo: one class request and one sample request, from training to a verified certificate."""

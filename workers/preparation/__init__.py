"""What must exist before a deletion request comes: training, its recipe, codes and cached Fishers."""

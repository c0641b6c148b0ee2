"""The numerical ground floor: parameters, data, Fisher information, codes and metrics, as pure functions."""

"""What keeps a training from ending, or from going on."""


class TrainingError(RuntimeError):
    """This recipe cannot train this model on this data; final until one of them changes."""


class CheckpointError(TrainingError):
    """A file cannot be the checkpoint of this training; it is left as it is."""


class RecordError(TrainingError):
    """This training cannot be recorded so, or there; final until the request or the folder changes."""

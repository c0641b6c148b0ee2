"""The pair of processes: a client in the worker that decides, a server in a child that computes."""

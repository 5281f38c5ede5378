"""The composition root: supervisor, process tree, and what each process is made of."""

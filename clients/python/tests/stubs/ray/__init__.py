"""A stub of ray: what examples/evaluate_ray.py uses, in one process. Not Ray."""
from . import data  # noqa: F401

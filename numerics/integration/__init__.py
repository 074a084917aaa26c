"""How does a model run forward in time, and why does a run stop?"""

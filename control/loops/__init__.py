"""How does a controller do on a plant? Closed loops, their logs, PI(D) control, and many loops at once."""

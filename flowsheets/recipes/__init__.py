"""How are recipes written, read, printed and drawn? Actions, cycles, YAML, tables and Gantt pictures."""

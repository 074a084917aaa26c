"""What is learned from data, inside the equations: corrections of named expressions."""

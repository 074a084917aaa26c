"""How is a problem on a plant posed and solved? Terms and decisions become one program, started and certified."""

"""How is a run handed in? As one HTML file to read and print, and a JSON with the same facts."""

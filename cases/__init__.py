"""Complete studies, one file each, that end in claims; and the command line that runs them."""

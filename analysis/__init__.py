"""What drives quality, and how sure are we? Process networks, monitoring. To come: networks of plants."""

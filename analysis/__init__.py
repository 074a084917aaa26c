"""What drives quality, and how sure are we? To come: risk, sensitivity of attributes, prediction, monitoring."""

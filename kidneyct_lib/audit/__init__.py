"""Why the slice-level number is high, and what helps on patients kept apart."""

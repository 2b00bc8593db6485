"""HTTP: bodies that are posted to us are messages, and deliveries are posted to others."""

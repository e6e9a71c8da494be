"""Which addresses may relay, and until when."""

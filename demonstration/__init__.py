"""What a demonstration needs and production never has: an authority made anew per home, its server, a furnished home (K6)."""

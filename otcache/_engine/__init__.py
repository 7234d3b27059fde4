"""The way of one operation through L1 and L2, and what keeps both right."""

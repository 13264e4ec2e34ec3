"""Images: opened, decoded, cached, prepared as pixels, and the text in them."""

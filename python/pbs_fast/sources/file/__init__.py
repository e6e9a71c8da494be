"""Following a file: plain, FIFO and archive; rotation, positions and replay."""

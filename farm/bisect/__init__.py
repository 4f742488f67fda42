"""Finding the commit at which a kernel changed, with every leased device testing another commit at once."""

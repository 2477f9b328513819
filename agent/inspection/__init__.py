"""`plumeline doctor`: looks at a station as it is set up and says what is weak, each row a look of its own."""

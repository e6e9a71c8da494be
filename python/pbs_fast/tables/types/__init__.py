"""One module for each type of table in a file or a program."""

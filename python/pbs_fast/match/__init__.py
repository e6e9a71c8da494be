"""What each line of a log means to the matcher."""

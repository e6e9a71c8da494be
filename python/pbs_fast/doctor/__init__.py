"""`pbs-fast doctor`: looks at everything between a login and a relayed message, and changes nothing."""

"""The table that the daemon answers itself, over Postfix's socketmap protocol."""

"""Tests of the tables: one contract for all types, real Postfix, crashes."""

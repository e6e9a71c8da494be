"""What tests share: clocks that are set, and readers of what the package holds; only these know its privates."""

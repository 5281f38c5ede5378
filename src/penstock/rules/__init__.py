"""Rules turn frames into alarm transitions; a pure, columnar engine and its configuration."""

"""The field process: hosts connectors, owns their loops, clocks, retries and losses."""

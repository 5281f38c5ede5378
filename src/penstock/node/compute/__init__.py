"""The compute process: heavy work of low priority, asked for by core over a link."""

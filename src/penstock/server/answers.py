"""JSON that any parser takes: NaN and infinity become null.

Routes with a declared answer model are written by pydantic, which does the same
and is faster; this class is for the others.
"""

from __future__ import annotations

import orjson
from fastapi.responses import JSONResponse


class NanSafeResponse(JSONResponse):
    """orjson: NaN and infinity to null, numpy arrays as lists, integers at most 64 bits."""

    def render(self, content: object) -> bytes:
        """Bytes of the body."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)

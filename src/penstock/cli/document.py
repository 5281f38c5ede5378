"""JSON as it arrives from the server, narrowed as the client does."""

from penstock.client.document import Document, document, items, rows, text, whole

__all__ = ["Document", "document", "items", "rows", "text", "whole"]

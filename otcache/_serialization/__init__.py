"""The formats of a payload's body; `otcache._serialization.serializer` chooses between them."""

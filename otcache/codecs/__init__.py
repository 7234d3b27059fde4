"""The formats of a payload's body; `otcache.serializers` chooses between them."""

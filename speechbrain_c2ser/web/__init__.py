"""A web page and an HTTP interface for trained models (extra ``serve``)."""

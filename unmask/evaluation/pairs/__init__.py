"""Lists of pairs of pictures and where these are."""

"""`rsr view`: a page over a work dir, for the browser of whoever started it."""

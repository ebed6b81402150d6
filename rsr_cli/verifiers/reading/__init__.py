"""What a reply claims: the labels that mark an answer, what it does with each value, and which claim counts."""

"""What verifiers of texts share: golds, words, sentences, languages, constraints."""

"""The mathematics: tensors in, tensors out; no estimators, no files."""

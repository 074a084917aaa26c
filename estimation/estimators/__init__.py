"""What is inside the plant now? Estimators that correct a model, sample by sample, by what the sensors say."""

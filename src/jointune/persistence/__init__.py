"""How a trained model is kept: bundle, manifest, hub, model card."""

"""Uses of trained models: sample, reconstruct, interpolate, traverse, translate, restore."""

"""From a model to facts: metrics, reasons and a verdict against the rule."""

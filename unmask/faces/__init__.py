"""Face geometry and pixels: detect, align, simulate face masks, segment, blend."""

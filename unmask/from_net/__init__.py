"""FROM (Qiu et al. 2021): network, training, recognizer and explanation."""

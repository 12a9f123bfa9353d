"""Do faces verify better after unmasking?"""

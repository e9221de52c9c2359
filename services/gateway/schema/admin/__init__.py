"""The shapes of the admin API, one module per noun: requests are strict, answers have every field that is named here.

What Capstan has beyond OpenAI's is said in the docstring of its field.
"""

"""The demonstration chat model: a Llama of 3.7 million parameters that answers on any laptop without a GPU.

This package owns how the model in `model/` is made: the tables of facts and phrasings (`tables/`), the corpus
generated from them, the tokenizer, training and evaluation. It promises that what a table marks as held out
("~") is never trained on, that the Python rendering of a conversation equals the chat template's, and that
the files of `model/` are replaced whole, one by one, so that a server may read them at any time.

It must not be imported by a service: a service reads the folder `model/` and nothing else.
"""

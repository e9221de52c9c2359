"""The Helm charts as files: what is generated into them, and the umbrella with its parts in one folder.

Owns `values.schema.json` and `README.md` of every chart, both made from the comments in its `values.yaml`:

    # -- What the value means, in full sentences with units.       documents the key below it
    # @enum a b c    @min 0    @type string    @items object       narrow what its default alone would say
    # @settings auth                                               the settings of a service, as its code declares them
    # @models                                                      entries of models, as the chart `inference` has them

    python -m tools.charts [--check]          write them, or say which are stale
    python -m tools.charts assemble FOLDER    the umbrella chart with its dependencies in it, ready for `helm install`
"""

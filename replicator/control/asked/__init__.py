"""What may be asked for from afar: one typed request for each verb.

Every other part of `control`, and the command line with `--service`, reads these types; they know
nothing but the types of the configuration. A *request* says what one verb is to do; one that is
*planned* has to be agreed to.
"""

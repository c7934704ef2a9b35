"""The verbs that decide what a store keeps: `expire`, `lock`, `hold`.

One file a verb.
"""

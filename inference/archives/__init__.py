"""Archives: reading posts from files of many formats and layouts, and writing scored ones.

``sources`` finds the files, a reader per format (``delimited``, ``json_lines``, ``parquet``) yields their rows,
``mapping`` gives their columns a meaning, ``fields`` their values a type, and ``archive`` puts it all together.
"""

"""The model floor: encoder, heads, text normalisation, taxonomy, artefact and backends."""

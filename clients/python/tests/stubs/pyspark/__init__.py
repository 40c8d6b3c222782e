"""A stub of pyspark: what examples/evaluate_spark.py uses, in one process. Not Spark."""

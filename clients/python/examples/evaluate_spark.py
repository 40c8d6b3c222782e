#!/usr/bin/python3
"""Evaluates a Spark RDD: each partition by a server, merged into the loss of the RDD.

    evaluate_spark.py [URL]     default http://127.0.0.1:8080

Executors need lossd and must reach the server. lossd's tests run this script with a stub of
pyspark, not with Spark.
"""
import sys
from itertools import islice

import numpy as np
from pyspark.sql import SparkSession

import lossd

ROWS, CLASSES, ROWS_PER_REQUEST = 20_000, 10, 2000
URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def evaluate(rows):
    """Runs on an executor, for a partition of ((logits, label), row number)."""
    rows = iter(rows)
    with lossd.Client(URL) as server:
        while chunk := list(islice(rows, ROWS_PER_REQUEST)):
            samples, numbers = zip(*chunk)
            logits, labels = zip(*samples)
            yield server.cross_entropy(
                np.float32(logits), np.int64(labels), partial=True, offset=numbers[0]
            ).partial


def merged(rdd):
    # zipWithIndex numbers the rows in the order of the partitions.
    return lossd.merge(rdd.zipWithIndex().mapPartitions(evaluate).collect())


def main():
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((ROWS, CLASSES), np.float32)
    labels = generator.integers(0, CLASSES, ROWS)

    spark = SparkSession.builder.appName("lossd").getOrCreate()
    result = merged(spark.sparkContext.parallelize(zip(logits.tolist(), labels.tolist()), 8))
    spark.stop()

    whole = lossd.Client(URL).cross_entropy(logits, labels)
    print(f"merged: {result.loss!r}, rows {result.partial['rows']}")
    print(f"whole: {whole.loss!r}")
    assert repr(result.loss) == repr(whole.loss)


if __name__ == "__main__":
    main()

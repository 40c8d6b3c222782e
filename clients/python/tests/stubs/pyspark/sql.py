"""A stub of pyspark.sql: an RDD is a list of partitions, and functions run when it is collected."""
import pickle


class Rdd:
    def __init__(self, partitions):
        self._partitions = partitions  # functions that return iterators

    def zipWithIndex(self):
        lists = [list(partition()) for partition in self._partitions]
        starts = [sum(map(len, lists[:place])) for place in range(len(lists))]
        return Rdd(
            [
                lambda rows=rows, start=start: zip(rows, range(start, start + len(rows)))
                for rows, start in zip(lists, starts)
            ]
        )

    def mapPartitions(self, function):
        return Rdd(
            [
                lambda partition=partition: function(iter(partition()))
                for partition in self._partitions
            ]
        )

    def collect(self):
        # Spark pickles what a partition returns.
        return [
            pickle.loads(pickle.dumps(row)) for partition in self._partitions for row in partition()
        ]


class SparkSession:
    class builder:
        @classmethod
        def appName(cls, name):
            return cls

        @classmethod
        def getOrCreate(cls):
            return SparkSession()

    @property
    def sparkContext(self):
        return self

    def parallelize(self, rows, numSlices):
        """The last partition is empty."""
        rows = list(rows)
        bounds = [len(rows) * part // (numSlices - 1) for part in range(numSlices)] + [len(rows)]
        return Rdd(
            [lambda first=first, end=end: rows[first:end] for first, end in zip(bounds, bounds[1:])]
        )

    def stop(self):
        pass

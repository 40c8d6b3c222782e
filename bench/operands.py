"""The operands of each loss: numbers for which it is defined, the same for lossd and its peers.

An operand is written LAW:LOW:HIGH:SHAPE, followed by :grad if its gradient is computed. Laws:

    uniform    numbers in [LOW, HIGH)
    two        LOW or HIGH
    integer    integers in [LOW, HIGH)
    labels     three classes per row, then -1; LOW and HIGH are not used

In this table, {n} is the number of rows."""
from processes import NotMeasured

ANY, PROBABILITY, LABEL = "uniform:-3:3", "uniform:0.01:0.99", "two:0:1"
LOGARITHM, POSITIVE, SIGN = "uniform:-8:-0.01", "uniform:0.1:3", "two:-1:1"


def each(*laws):
    """For elementwise losses: a row is one element."""
    return 1, [law + ":{n}" for law in laws]


# Name: (length of a row, operands). A name can have a suffix, for other operands of the same loss.
OPERANDS = {
    "mse": each(ANY, ANY),
    "l1": each(ANY, ANY),
    "smooth_l1": each(ANY, ANY),
    "huber": each(ANY, ANY),
    "bce": each(PROBABILITY, LABEL),
    "bce/soft": each(PROBABILITY, PROBABILITY),
    "bce_with_logits": each(ANY, LABEL),
    "bce_with_logits/soft": each(ANY, PROBABILITY),
    "cross_entropy": (1000, [ANY + ":{n}x1000", "integer:0:1000:{n}"]),
    "cross_entropy/10": (10, [ANY + ":{n}x10", "integer:0:10:{n}"]),
    "cross_entropy/128256": (128_256, [ANY + ":{n}x128256", "integer:0:128256:{n}"]),
    "nll": (1000, [LOGARITHM + ":{n}x1000", "integer:0:1000:{n}"]),
    "kl_div": each(LOGARITHM, PROBABILITY),
    "hinge_embedding": each(ANY, SIGN),
    "cosine_embedding": (128, [ANY + ":{n}x128", ANY + ":{n}x128", SIGN + ":{n}"]),
    "poisson_nll": each(ANY, "uniform:0:9"),
    "gaussian_nll": each(ANY, ANY, POSITIVE),
    "margin_ranking": each(ANY, ANY, SIGN),
    "soft_margin": each(ANY, SIGN),
    "multi_margin": (100, [ANY + ":{n}x100", "integer:0:100:{n}"]),
    "multilabel_margin": (100, [ANY + ":{n}x100", "labels:0:100:{n}x100"]),
    "multilabel_soft_margin": (100, [ANY + ":{n}x100", LABEL + ":{n}x100"]),
    "triplet_margin": (128, [ANY + ":{n}x128"] * 3),
    "ctc": (
        1000,
        [
            LOGARITHM + ":50x{n}x20",
            "integer:1:20:{n}x10",
            "integer:50:51:{n}",
            "integer:5:11:{n}",
        ],
    ),
    "sigmoid_focal": each(ANY, LABEL),
    "dice": (10, [PROBABILITY + ":5x2x{n}", LABEL + ":5x2x{n}"]),
    "log_cosh": each(ANY, ANY),
    "quantile": each(ANY, ANY),
    "tweedie": each(POSITIVE, POSITIVE),
    "info_nce": (128, [ANY + ":{n}x128"] * 2),
}
MAX_ROWS = {"info_nce": 1000}  # its time grows with the square of the rows


class Problem:
    """A loss with operands of about `count` elements. `tensors` are those of the command `list`
    of core.c."""

    def __init__(self, name, tensors, count):
        self.name, self.loss = name, name.partition("/")[0]
        if name not in OPERANDS:
            raise NotMeasured(f"failed: bench/operands.py has no operands for {name}")
        self.length, operands = OPERANDS[name]
        if len(operands) != len(tensors):
            raise NotMeasured(
                f"failed: bench/operands.py has {len(operands)} operands for {name}, which requires"
                f" {', '.join(tensors)}"
            )
        self.rows = max(1, min(count // self.length, MAX_ROWS.get(name, count)))
        self.operands = [
            operand.format(n=self.rows) + (":grad" if prediction else "")
            for operand, prediction in zip(operands, tensors.values())
        ]

    @property
    def elements(self):
        return self.rows * self.length

    def words(self, dtype="float32"):
        """Returns the words of the command `loss` that describe the problem."""
        return [self.loss, dtype, *self.operands]

    def __str__(self):
        shape = self.operands[0].split(":")[3]
        return f"{self.name.partition('/')[0]} {shape}" if "x" in shape else self.name

// Finds kinks of a sampled curve: steps that are many times larger than their neighbors.

const factor = 8;

/**
 * Finds jumps of values.
 * @returns {{from: number, to: number, size: number}[]} indices of the points on both sides
 */
export function jumps(values) {
    const steps = Array.from({length: values.length - 1}, (_, i) =>
        Math.abs(values[i + 1] - values[i]),
    );
    const scale = values.reduce(
        (max, value) => (Number.isFinite(value) ? Math.max(max, Math.abs(value)) : max),
        0,
    );
    const found = [];
    for (let i = 2; i < steps.length - 2; i++) {
        // A jump at a grid point takes two steps, so the adjacent steps are not compared.
        const around = Math.max(steps[i - 2], steps[i + 2], steps[i - 3] ?? 0, steps[i + 3] ?? 0);
        if (!(steps[i] > 1e-7 * scale && steps[i] > factor * around)) continue;
        const last = found.at(-1);
        if (last && last.to === i) Object.assign(last, {to: i + 1, size: last.size + steps[i]});
        else found.push({from: i, to: i + 1, size: steps[i]});
    }
    return found;
}

/** The slopes between adjacent points, at their midpoints. */
export function slopes(x, y) {
    return {
        x: x.slice(1).map((_, i) => (x[i] + x[i + 1]) / 2),
        y: x.slice(1).map((_, i) => (y[i + 1] - y[i]) / (x[i + 1] - x[i])),
    };
}

/**
 * Finds jumps (order 1) and bends (order 2) of the derivative.
 * @returns {{from: number, to: number, size: number, order: 1|2}[]} intervals of x
 */
export function kinks(x, derivative) {
    const first = jumps(derivative).map(({from, to, size}) => ({
        from: x[from],
        to: x[to],
        size,
        order: 1,
    }));
    const bend = slopes(x, derivative);
    const step = (x.at(-1) - x[0]) / (x.length - 1);
    const second = jumps(bend.y)
        .map(({from, to, size}) => ({from: bend.x[from], to: bend.x[to], size, order: 2}))
        .filter(
            ({from, to}) =>
                !first.some((other) => from < other.to + 3 * step && to > other.from - 3 * step),
        );
    return [...first, ...second].sort((a, b) => a.from - b.from);
}

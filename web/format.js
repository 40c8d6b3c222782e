// Formats numbers for display.

/** Formats a number with up to `digits` significant digits: 0.1667, 1.2e-9, NaN. */
export function short(number, digits = 4) {
    if (!Number.isFinite(number)) return String(number);
    if (number === 0) return '0';
    const size = Math.abs(number);
    if (size >= 1e6 || size < 1e-4)
        return number
            .toExponential(Math.max(digits - 2, 0))
            .replace(/\.?0+e/, 'e')
            .replace('e+', 'e')
            .replace('-', '−');
    const text = Number.isInteger(number) ? String(number) : number.toPrecision(digits);
    return (text.includes('.') ? text.replace(/\.?0+$/, '') : text).replace('-', '−');
}

/** Formats a shape like Python: (), (3,), (4, 5). */
export const shapeText = (shape) => `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;

/** Formats counts, rates and (base 1024) bytes with a unit prefix: 1.5 k, 20 M. */
export function scaled(number, base = 1000) {
    const units =
        base === 1024 ? ['', ' KiB', ' MiB', ' GiB', ' TiB'] : ['', ' k', ' M', ' G', ' T'];
    let unit = 0;
    for (; number >= base && unit < units.length - 1; unit++) number /= base;
    return (
        `${number >= 100 || unit === 0 ? Math.round(number * 10) / 10 : number.toPrecision(3)}` +
        `${units[unit]}`
    );
}

/** Returns the minimum and the maximum of the finite numbers; [NaN, NaN] if there are none. */
export function extent(numbers) {
    let min = Infinity,
        max = -Infinity;
    for (const number of numbers) {
        if (!Number.isFinite(number)) continue;
        if (number < min) min = number;
        if (number > max) max = number;
    }
    return min <= max ? [min, max] : [NaN, NaN];
}

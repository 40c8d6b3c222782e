// Numbers for people.

/** A number in `digits` significant digits, as short as it goes: 0.1667, 1.2e-9, NaN. */
export function short(number, digits = 4) {
    if (!Number.isFinite(number)) return String(number);
    if (number === 0) return '0';
    const size = Math.abs(number);
    if (size >= 1e6 || size < 1e-4) return number.toExponential(Math.max(digits - 2, 0)).replace(/\.?0+e/, 'e').replace('e+', 'e').replace('-', '−');
    const text = Number.isInteger(number) ? String(number) : number.toPrecision(digits);
    return (text.includes('.') ? text.replace(/\.?0+$/, '') : text).replace('-', '−');
}

/** A shape as Python writes it: (), (3,), (4, 5). */
export const shapeText = (shape) => `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;

/** Bytes, rates and counts: 1.5 k, 20 M; with 1024 for bytes. */
export function scaled(number, base = 1000) {
    const units = base === 1024 ? ['', ' KiB', ' MiB', ' GiB', ' TiB'] : ['', ' k', ' M', ' G', ' T'];
    let unit = 0;
    for (; number >= base && unit < units.length - 1; unit++) number /= base;
    return `${number >= 100 || unit === 0 ? Math.round(number * 10) / 10 : number.toPrecision(3)}${units[unit]}`;
}

/** The least and the greatest of numbers, of those that are finite; [NaN, NaN] if none is. */
export function extent(numbers) {
    let least = Infinity, greatest = -Infinity;
    for (const number of numbers) {
        if (!Number.isFinite(number)) continue;
        if (number < least) least = number;
        if (number > greatest) greatest = number;
    }
    return least <= greatest ? [least, greatest] : [NaN, NaN];
}

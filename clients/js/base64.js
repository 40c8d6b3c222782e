// Base64, the encoding of tensors in JSON.

const chunk = 0x8000; // bytes per call of fromCharCode, whose number of arguments is limited

export function toBase64(bytes) {
    let text = '';
    for (let i = 0; i < bytes.length; i += chunk)
        text += String.fromCharCode(...bytes.subarray(i, i + chunk));
    return btoa(text);
}

export function fromBase64(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

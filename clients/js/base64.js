// Bytes as text: base64, in which JSON holds tensors.

const chunk = 0x8000; // of bytes that one call takes as arguments

export function toBase64(bytes) {
    let text = '';
    for (let i = 0; i < bytes.length; i += chunk) text += String.fromCharCode(...bytes.subarray(i, i + chunk));
    return btoa(text);
}

export function fromBase64(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Weights in a page: half floats, little-endian, in base64.

const NUMBERS = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent ? sign * (1 + fraction / 1024) * 2 ** (exponent - 15) : sign * fraction * 2 ** -24
})

// shapes: { name: shape } in the order of the numbers -> { name: { shape, data } }
export function unpackWeights(text, shapes) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0))
  const arrays = {}
  let at = 0
  for (const name in shapes) {
    const data = new Float32Array(shapes[name].reduce((product, n) => product * n, 1))
    for (let i = 0; i < data.length; i++, at += 2) {
      data[i] = NUMBERS[bytes[at] | bytes[at + 1] << 8]
    }
    arrays[name] = { shape: shapes[name], data }
  }
  return arrays
}

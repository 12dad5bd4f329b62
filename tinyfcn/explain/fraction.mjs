// Exact fractions of small numbers: [numerator, denominator], in lowest terms.

export function fraction(n, d = 1) {
  if (d < 0) return fraction(-n, -d)
  const divisor = commonDivisor(Math.abs(n), d)
  return [n / divisor, d / divisor]
}

function commonDivisor(a, b) {
  while (b) [a, b] = [b, a % b]
  return a || 1
}

export const plus = ([a, b], [c, d]) => fraction(a * d + c * b, b * d)
export const minus = (x, [c, d]) => plus(x, [-c, d])
export const times = ([a, b], [c, d]) => fraction(a * c, b * d)
export const over = (x, [c, d]) => times(x, [d, c])
export const isEqual = ([a, b], [c, d]) => a === c && b === d
export const maximum = (x, y) => (x[0] * y[1] >= y[0] * x[1] ? x : y)
export const toNumber = ([a, b]) => a / b

export function fractionText([a, b]) {
  const sign = a < 0 ? '−' : ''
  return b === 1 ? `${sign}${Math.abs(a)}` : `${sign}${Math.abs(a)}/${b}`
}

// y += a · bᵀ, the one product behind every convolution.

// a (m, k), b (n, k), y (m, n), all in rows: y[i, j] += Σ a[i, p] · b[j, p]. Four rows of b and two
// of a at a time: eight sums stay in registers, and every number that is read is used twice or more.
export function multiplyAdd(a, b, y, m, n, k) {
  let i = 0
  for (; i + 2 <= m; i += 2) {
    let j = 0
    for (; j + 4 <= n; j += 4) addTile(a, b, y, i, j, n, k)
    for (; j < n; j++) {
      y[i * n + j] += dot(a, b, i * k, j * k, k)
      y[(i + 1) * n + j] += dot(a, b, (i + 1) * k, j * k, k)
    }
  }
  for (; i < m; i++) {
    for (let j = 0; j < n; j++) y[i * n + j] += dot(a, b, i * k, j * k, k)
  }
}

function addTile(a, b, y, i, j, n, k) {
  let y00 = 0, y01 = 0, y02 = 0, y03 = 0, y10 = 0, y11 = 0, y12 = 0, y13 = 0
  const upper = i * k, lower = upper + k
  const b0 = j * k, b1 = b0 + k, b2 = b1 + k, b3 = b2 + k
  for (let p = 0; p < k; p++) {
    const a0 = a[upper + p], a1 = a[lower + p]
    const w0 = b[b0 + p], w1 = b[b1 + p], w2 = b[b2 + p], w3 = b[b3 + p]
    y00 += a0 * w0
    y01 += a0 * w1
    y02 += a0 * w2
    y03 += a0 * w3
    y10 += a1 * w0
    y11 += a1 * w1
    y12 += a1 * w2
    y13 += a1 * w3
  }
  const first = i * n + j, second = first + n
  y[first] += y00
  y[first + 1] += y01
  y[first + 2] += y02
  y[first + 3] += y03
  y[second] += y10
  y[second + 1] += y11
  y[second + 2] += y12
  y[second + 3] += y13
}

function dot(a, b, i, j, k) {
  let sum = 0
  for (let p = 0; p < k; p++) sum += a[i + p] * b[j + p]
  return sum
}

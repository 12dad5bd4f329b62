// Numbers as text, as format_number in text.py writes them, and classes as colours: a part of the
// module that page.py joins.

function formatNumber(value) {
  if (value === null || value === undefined) return ''
  if (typeof value === 'string') return value
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value < 0 ? '−∞' : '∞'
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return minus(`${value + 0}`)
  const rounded = roundToThreeDigits(value), size = Math.abs(rounded)
  if (size >= 1e-4 && size < 1e7) return minus(rounded.toFixed(6).replace(/\.?0+$/, ''))
  return minus(rounded.toExponential().replace('e+', 'e'))
}

const minus = text => text.replaceAll('-', '−')

// Halves to even, as Python does: 1.125 is 1.12; toPrecision would give 1.13.
function roundToThreeDigits(value) {
  const [digits, power] = Math.abs(value).toExponential(60).split('e')
  const isHalf = /^50*$/.test(digits.slice(4)), isEven = digits[3] % 2 === 0
  if (!isHalf || !isEven) return Number(value.toPrecision(3))
  return Math.sign(value) * Number(`${digits.slice(0, 4)}e${power}`)
}

// Whether the text of a number is the number itself.
function isExact(value) {
  const text = formatNumber(value).replaceAll('−', '-').replace('∞', 'Infinity')
  return Number.isNaN(value) || Number(text) === value
}

// =, or ≈ where a number is shown rounded.
const equalSign = values => values.every(isExact) ? '=' : '≈'

// The colour of a class as [red, green, blue], that of viz.palette: bits 0, 1, 2 of its number are
// the highest of red, green and blue, bits 3, 4, 5 the next lower ones, and so on.
function classColour(number) {
  return [0, 1, 2].map(part => {
    let value = 0
    for (let digit = 0; digit < 8; digit++) value |= (number >> (3 * digit + part) & 1) << 7 - digit
    return value
  })
}

// Relative luminance: above .18 black has the better contrast, below it white.
const luminance = rgb => [.2126, .7152, .0722].reduce(
  (sum, part, k) => sum + part * (rgb[k] / 255) ** 2.2, 0)

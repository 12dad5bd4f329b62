// The sum of a cell as text with its terms apart, as captions.py writes it: a part of the module
// that page.py joins.

const MAX_TERMS = 12, FIRST_TERMS = 7, LAST_TERMS = 3       // a longer sum is abbreviated

// -> [[text, number of its term or null], …]; valueOf([grid, i, j]) is what a cell holds now, and
// before what the cell of the sum held a frame ago
function equation(sum, valueOf, before) {
  const [grid, i, j] = sum.cell
  const name = sum.name ?? `${grid}[${i},${j}]`
  const total = valueOf(sum.cell)
  const terms = sum.terms.map(cells => cells.map(valueOf))
  const isFormula = sum.how === 'max' || sum.how === 'mean'
  const equal = equalSign([...terms.flat(), ...sum.how === 'add' ? [before] : [], total])
  const end = [` ${sum.how === 'max' ? '=' : equal} ${formatNumber(total)}`, null]
  if (sum.how === 'copy') return [[`${name} = `, null], [formatNumber(total), 0]]
  if (isFormula) return [[`${name} = ${sum.how}(`, null], ...list(terms, sum.how), [')', null], end]
  const parts = [[`${name} = `, null]]
  if (sum.how === 'add') parts.push([formatNumber(before), null])
  return [...parts, ...products(terms, sum.how === 'add'), end]
}

// 2·1 + 3·(−4): the first term has no + before it, unless something else does.
function products(terms, follows) {
  const shown = terms.map(([first, ...others], k) => {
    const sign = first < 0 ? '−' : ''
    const factors = others.map(
      value => value < 0 ? `(${formatNumber(value)})` : formatNumber(value))
    return [sign, [formatNumber(Math.abs(first)), ...factors].join('·'), k]
  })
  if (shown.length > MAX_TERMS) {
    shown.splice(FIRST_TERMS, shown.length - FIRST_TERMS - LAST_TERMS, ['', '…', null])
  }
  return shown.flatMap(([sign, text, k], n) => n || follows
    ? [[` ${sign || '+'} `, null], [text, k]] : [[sign + text, k]])
}

function list(terms, how) {
  if (how === 'mean' && terms.length > MAX_TERMS) return [[`all ${terms.length}`, null]]
  return terms.flatMap(([value], k) => [...k ? [[', ', null]] : [], [formatNumber(value), k]])
}

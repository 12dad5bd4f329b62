// Typesets the formulas of a caption in MathML, which browsers draw by themselves: a part of the
// module that page.py joins.
//
// What is written as y[0,1], (a − b)/2, e^x and Σ[k] becomes an index, a fraction, a power and a sum
// over k. The signs [ ] / ^ that it then does not need stay in the text, unseen: for copying, and
// for tests.

const MATH = 'http://www.w3.org/1998/Math/MathML'
const TOKEN = new RegExp([
  /(?<fraction>\([^()]+\)\/\d+)/, /(?<over>(?:Σ|max)\[[\w,]+\])/,
  /(?<indexed>[A-Za-z]\w*ᵀ?(?:\[[\w,+·]+\])+)/,
  /(?<power>e\^[\w.−]+)/, /(?<number>\d+(?:\.\d+)?(?:e−?\d+)?)/, /(?<operator>[+−]?=|[≈+−·/])/,
  /(?<bracket>[()⌈⌉⌊⌋,:…])/, /(?<name>max|mean|log|[pqwxy](?![A-Za-z]))/, /(?<space>\s+)/,
  /(?<text>[^\s\d=≈+−·/()⌈⌉⌊⌋,:…]+|.)/,
].map(part => part.source).join('|'), 'gu')
const STRONG = ['fraction', 'over', 'indexed', 'power', 'operator']     // these alone make a formula

// Appends a text to an element; everything in it is a formula, or what looks like one.
// Each part between two spaces is a formula of its own, so that long ones break at their spaces.
function typeset(parent, text, isFormula) {
  const parts = []
  for (const { groups } of text.matchAll(TOKEN)) {
    const [[kind, token]] = Object.entries(groups).filter(([, token]) => token !== undefined)
    if (kind === 'space' || !parts.length || parts.at(-1)[0][0] === 'space') parts.push([])
    parts.at(-1).push([kind, token])
  }
  const is = (n, kinds) => parts[n]?.some(([kind]) => kinds.includes(kind))
  const isMath = parts.map((_, n) => isFormula || (!is(n, ['text', 'space']) && is(n, STRONG)))
  // numbers beside a formula belong to it
  parts.forEach((_, n) => {
    if (!is(n, ['text', 'space']) && (isMath[n - 2] || isMath[n + 2])) isMath[n] = true
  })
  parts.forEach((tokens, n) => {
    if (!isMath[n] || is(n, ['space'])) {
      return parent.append(tokens.map(([, token]) => token).join(''))
    }
    const math = mathElement(parent, 'math')
    tokens.forEach(([kind, token], k) => {
      const sign = typesetToken(math, kind, token, tokens.length === 1)
      const isFirst = !k || ['bracket', 'operator'].includes(tokens[k - 1][0])
      if (kind === 'operator' && isFirst && tokens.length > 1) sign.setAttribute('form', 'prefix')
    })
  })
}

function typesetToken(parent, kind, token, isAlone) {
  if (kind === 'fraction') return typesetFraction(parent, token)
  if (kind === 'indexed' || kind === 'over') {          // over: the index stands below a Σ or max
    const [, name, index] = token.match(/^([^[]+)(.*)$/), isOver = kind === 'over'
    const sub = mathElement(parent, isOver ? 'munder' : 'msub')
    const base = mathElement(sub, 'mpadded')            // as deep as y, also if the name is w
    if (!isOver) base.setAttribute('depth', '.25em')
    mathElement(base, isOver ? 'mtext' : 'mi', name)
    return withUnseen(mathElement(sub, 'mrow'), index.split(/([[\]]+)/), /[[\]]/)
  }
  if (kind === 'power') {
    const power = mathElement(parent, 'msup')
    mathElement(power, 'mi', 'e')
    return withUnseen(mathElement(power, 'mrow'), ['^', token.slice(2)], /\^/)
  }
  if (kind === 'operator' || kind === 'bracket') {
    const sign = mathElement(parent, 'mo', token)
    if (isAlone) ['lspace', 'rspace'].forEach(side => sign.setAttribute(side, 0))
    if (kind === 'bracket') sign.setAttribute('stretchy', false)
    return sign
  }
  mathElement(parent, kind === 'number' ? 'mn' : kind === 'name' ? 'mi' : 'mtext', token)
}

function typesetFraction(parent, token) {
  const [, above, below] = token.match(/^\((.*)\)\/(\d+)$/)
  const fraction = mathElement(parent, 'mfrac'), top = mathElement(fraction, 'mrow')
  mathElement(top, 'mo', '(').classList.add('unseen')
  for (const [part] of above.matchAll(/[−+·]|[^−+·]+/g)) {
    mathElement(top, /[−+·]/.test(part) ? 'mo' : 'mn', part)
  }
  const bottom = mathElement(fraction, 'mrow')
  withUnseen(bottom, [')/', below], /\//)
}

// Parts as numbers, but those that match `unseen` are not seen.
function withUnseen(parent, parts, unseen) {
  parts.filter(Boolean).forEach(part => {
    const element = mathElement(parent, 'mn', part)
    if (unseen.test(part)) element.classList.add('unseen')
    if (part === '][') mathElement(parent, 'mspace').setAttribute('width', '.4em')
  })
}

function mathElement(parent, tag, text) {
  const element = document.createElementNS(MATH, tag)
  if (text !== undefined) element.textContent = text
  parent.append(element)
  return element
}

// Where a crop comes from: the first units of the two boxes that it aligns.
import { numberText } from './dom.mjs'

// name: of the crop; x, y: { name, scale, shift } of the box that is cropped and of the one that it
// follows, along one axis, in pixels
export function cropText(name, x, y, crop) {
  const wrong = crop ? `${crop - 1} or ${crop + 1}` : '1'
  return `${name}: unit 0 of ${x.name} is centred on pixel ${placeText(x.shift)}, unit 0 of `
    + `${y.name} on ${placeText(y.shift)}. ${spacingText(x.scale)}, so ${crop} of them come before: `
    + `crop ${crop}. With ${wrong}, every value of ${x.name} would lie `
    + `${pixelsText(x.scale)} away from its place.`
}

// −11.5, but −23
const placeText = value => numberText(value, Number.isInteger(value) ? 0 : 1)

const pixelsText = n => (n === 1 ? '1 pixel' : `${n} pixels`)

function spacingText(n) {
  return n === 1 ? 'There is a unit for every pixel' : `There is a unit for every ${n} pixels`
}

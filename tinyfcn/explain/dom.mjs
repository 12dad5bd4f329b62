// Elements of the page.

export function append(parent, tag, attributes = {}, text) {
  const element = document.createElement(tag)
  for (const name in attributes) element.setAttribute(name, attributes[name])
  if (text !== undefined) element.textContent = text
  parent.append(element)
  return element
}

export function appendSvg(parent, tag, attributes = {}, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const name in attributes) element.setAttribute(name, attributes[name])
  if (text !== undefined) element.textContent = text
  parent.append(element)
  return element
}

export function button(parent, text, onclick, attributes = {}) {
  const element = append(parent, 'button', { type: 'button', ...attributes }, text)
  element.onclick = onclick
  return element
}

export function numberText(value, digits = 2) {
  return `${value < 0 ? '−' : ''}${Math.abs(value).toFixed(digits)}`
}

// A canvas of the size of an image, each pixel by colourOf(index) -> [red, green, blue].
export function paint(canvas, size, colourOf, alpha = 255) {
  [canvas.height, canvas.width] = size
  const context = canvas.getContext('2d')
  const image = context.createImageData(size[1], size[0])
  for (let pixel = 0; pixel < size[0] * size[1]; pixel++) {
    const [red, green, blue] = colourOf(pixel)
    image.data[4 * pixel] = red
    image.data[4 * pixel + 1] = green
    image.data[4 * pixel + 2] = blue
    image.data[4 * pixel + 3] = alpha
  }
  context.putImageData(image, 0, 0)
}

// Dark to bright, as in viz.heat: readable with any colour vision.
const STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]

const HEAT = [...Array(256).keys()].map(value => {
  const at = Math.min(value / 255 * (STOPS.length - 1), STOPS.length - 1.0001)
  const low = STOPS[Math.floor(at)], high = STOPS[Math.floor(at) + 1], part = at - Math.floor(at)
  return low.map((start, i) => Math.round(start + part * (high[i] - start)))
})

// value: an integer from 0 to 255
export const heatColour = value => HEAT[value]

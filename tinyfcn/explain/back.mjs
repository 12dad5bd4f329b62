// One step of training: a pixel gets the class that it should have, and the weights follow its gradient.
import { append, button, numberText } from './dom.mjs'

// on: { step(label, lr), reset(), hide() }; picture: what makePicture gave
export function makeBack(parent, classes, picture, voidLabel, on) {
  append(parent, 'p', {}, 'Click a pixel of the mask that is wrong, say what it should be, and '
    + 'take a step of SGD: every weight of this net moves against its gradient. Other pixels are '
    + 'computed with the same weights and change too; a lower rate changes fewer. The boxes above '
    + 'then show how much the loss depends on each of their units.')
  const controls = append(parent, 'div', { class: 'tools' })
  const select = append(append(controls, 'label', {}, 'should be '), 'select')
  classes.forEach((name, i) => append(select, 'option', { value: i }, name))
  const around = append(controls, 'label', {}, 'with the pixels around, up to ')
  const radius = append(around, 'input', { type: 'range', min: 0, max: 24, value: 6 })
  const distance = append(around, 'output', {})
  const showDistance = () => { distance.textContent = `${radius.value} pixels away` }
  radius.oninput = () => {
    showDistance()
    picture.circle(+radius.value)
  }
  showDistance()
  const rate = append(append(controls, 'label', {}, 'learning rate '), 'input',
                      { type: 'range', min: -4, max: 0, step: .25, value: -2.5 })
  const shown = append(controls, 'output', {})
  const lr = () => 10 ** rate.value
  rate.oninput = () => { shown.textContent = lr().toPrecision(2) }
  rate.oninput()
  const result = append(parent, 'p', { class: 'result', 'aria-live': 'polite' }, '')
  button(controls, 'take the step', () => {
    if (!picture.pixel()) {
      result.textContent = 'Click a pixel of the mask first.'
      return
    }
    on.step(labelAround(picture, +select.value, +radius.value, voidLabel), lr())
  })
  button(controls, 'undo all steps', () => {
    result.textContent = ''
    on.reset()
  })
  return {
    // of the pixel's class now
    suggest(c) { select.value = c },
    show({ loss, lossAfter }) {
      result.textContent = `Loss of these pixels: ${numberText(loss, 3)} before the step, `
        + `${numberText(lossAfter, 3)} after it.`
    },
  }
}

// The class in a disc around the chosen pixel, and void elsewhere: only the disc counts.
function labelAround(picture, c, radius, voidLabel) {
  const size = picture.size(), [row, column] = picture.pixel()
  const label = new Uint8Array(size[0] * size[1]).fill(voidLabel)
  for (let i = 0; i < size[0]; i++) {
    for (let j = 0; j < size[1]; j++) {
      if ((i - row) ** 2 + (j - column) ** 2 <= radius ** 2) label[i * size[1] + j] = c
    }
  }
  return label
}

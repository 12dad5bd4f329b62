// The reader's picture and its mask: dropped, chosen or drawn; a click chooses a pixel.
import { append, button, paint } from './dom.mjs'

const LONGEST = 320         // pixels; a larger picture is made smaller

// on: { picture(rgba, size), pixel([row, column]) }
export function makePicture(parent, classes, colours, on) {
  const row = append(parent, 'div', { class: 'pictures' })
  const left = append(row, 'figure'), right = append(row, 'figure')
  const image = append(left, 'canvas', { class: 'drawn', tabindex: 0,
                                        'aria-label': 'your picture' })
  const mask = append(right, 'canvas', {
    tabindex: 0, 'aria-label': 'the mask; arrow keys move the chosen pixel' })
  append(left, 'figcaption', {}, 'Your picture: drop one here, choose one, or draw on it.')
  append(right, 'figcaption', {}, 'The class of every pixel. Click one.')
  const tools = append(parent, 'div', { class: 'tools' })
  const input = append(tools, 'input', { type: 'file', accept: 'image/*',
                                         'aria-label': 'choose a picture' })
  const draw = append(append(tools, 'label', {}, 'draw with '), 'input',
                      { type: 'color', value: '#d03030' })
  const state = { size: null, pixel: null, labels: null, first: null, window: null,
                  radius: 0 }

  const changed = () => {
    const { data } = image.getContext('2d').getImageData(0, 0, image.width, image.height)
    on.picture(data, state.size)
  }
  const load = source => {
    const shrink = Math.min(1, LONGEST / Math.max(source.width, source.height))
    state.size = [source.height, source.width].map(n => Math.max(1, Math.round(n * shrink)));
    [image.height, image.width] = state.size
    image.getContext('2d', { willReadFrequently: true })
      .drawImage(source, 0, 0, image.width, image.height)
    state.pixel = null
    changed()
  }
  const read = async file => {
    if (file) load(await createImageBitmap(file))
  }
  input.onchange = () => read(input.files[0])
  left.ondragover = event => event.preventDefault()
  left.ondrop = event => {
    event.preventDefault()
    read(event.dataTransfer.files[0])
  }
  button(tools, 'first picture', () => load(state.first))

  const pixelAt = (canvas, event) => {
    const box = canvas.getBoundingClientRect()
    const at = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width]
    return at.map((part, axis) => Math.min(Math.max(Math.floor(part * state.size[axis]), 0),
                                           state.size[axis] - 1))
  }
  let before = null
  image.onpointerdown = event => {
    image.setPointerCapture(event.pointerId)
    before = pixelAt(image, event)
    stroke(before, before)
  }
  image.onpointermove = event => {
    if (!before) return
    const now = pixelAt(image, event)
    stroke(before, now)
    before = now
  }
  image.onpointerup = () => {
    before = null
    changed()
  }
  const stroke = (from, to) => {
    const context = image.getContext('2d')
    context.strokeStyle = draw.value
    context.lineCap = 'round'
    context.lineWidth = Math.max(4, Math.min(...state.size) / 14)
    context.beginPath()
    context.moveTo(from[1], from[0])
    context.lineTo(to[1], to[0] + .01)
    context.stroke()
  }

  const choose = pixel => {
    state.pixel = pixel
    show(state.labels)
    on.pixel(pixel)
  }
  mask.onclick = event => choose(pixelAt(mask, event))
  mask.onkeydown = event => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
    const move = moves[event.key]
    if (!move || !state.size) return
    event.preventDefault()
    const from = state.pixel ?? state.size.map(n => n >> 1)
    choose(from.map((n, axis) => Math.min(Math.max(n + move[axis], 0), state.size[axis] - 1)))
  }

  const show = labels => {
    state.labels = labels
    paint(mask, state.size, pixel => colours[labels[pixel]])
    if (!state.pixel) return
    const context = mask.getContext('2d'), [row, column] = state.pixel
    context.fillStyle = '#000'
    context.fillRect(column - 2, row - 2, 5, 5)
    context.fillStyle = '#fff'
    context.fillRect(column - 1, row - 1, 3, 3)
    if (!state.radius) return
    for (const [colour, width] of [['#000', 2.5], ['#fff', 1]]) {
      context.beginPath()
      context.arc(column + .5, row + .5, state.radius + .5, 0, 2 * Math.PI)
      context.strokeStyle = colour
      context.lineWidth = width
      context.stroke()
    }
  }
  // A frame around the pixels that the chosen one depends on.
  const placeOutline = () => {
    if (!state.window) return
    const [[top, bottom], [leftmost, rightmost]] = state.window
    const mark = left.querySelector('.field') ?? append(left, 'div', { class: 'field' })
    const box = image.getBoundingClientRect(), corner = left.getBoundingClientRect()
    const h = box.height / state.size[0], w = box.width / state.size[1]
    mark.style.cssText = `top:${box.top - corner.top + top * h}px;`
      + `height:${(bottom - top + 1) * h}px;width:${(rightmost - leftmost + 1) * w}px;`
      + `left:${box.left - corner.left + leftmost * w}px`
  }
  new ResizeObserver(placeOutline).observe(image)

  const legend = append(parent, 'ul', { class: 'legend' })
  classes.forEach((name, i) => {
    const item = append(legend, 'li')
    append(item, 'i', { style: `background:rgb(${colours[i].join(',')})` })
    append(item, 'span', {}, name)
  })
  return {
    show,
    start(source) {
      state.first = source
      load(source)
    },
    pixel: () => state.pixel,
    chooseMiddle() {
      state.pixel = state.size.map(n => n >> 1)
      show(state.labels)
      return state.pixel
    },
    // a circle around the chosen pixel; 0 for none
    circle(radius) {
      state.radius = radius
      if (state.labels) show(state.labels)
    },
    size: () => state.size,
    labels: () => state.labels,
    url: () => image.toDataURL(),
    outline(window) {
      state.window = window
      placeOutline()
    },
  }
}

// The page: a picture, its mask, the net as a map, a pixel, a box, and one step of training.
import { makeBack } from './back.mjs'
import { showBox } from './box.mjs'
import { startWorker } from './client.mjs'
import { append, button } from './dom.mjs'
import { makeMap } from './map.mjs'
import { makePicture } from './picture.mjs'
import { showPixel } from './pixel.mjs'

const VOID_LABEL = 255

async function start(data) {
  const ask = startWorker()
  const main = document.querySelector('main')
  const { classes, colours, nets } = data
  append(main, 'h1', {}, data.title)
  append(main, 'p', {}, 'The net gives every pixel a score for each class, and the largest wins. '
    + 'Every box of its figure is an op, which computes maps of numbers, its channels. One place '
    + 'of a map is a unit.')
  if (data.questions.length) {
    const list = append(main, 'ol', { class: 'questions' })
    for (const text of data.questions) append(list, 'li', {}, text)
  }
  const status = append(main, 'p', { class: 'status', role: 'status' }, 'reading the weights …')
  const switches = append(main, 'div', { class: 'tools' })
  const top = append(main, 'section')
  const picture = makePicture(top, classes, colours, {
    picture: (rgba, size) => follow(ask('picture', { rgba, size })),
    pixel: pixel => explain(pixel),
  })
  const reader = append(top.querySelector('.pictures'), 'div', { class: 'pixel' })
  append(reader, 'p', {}, 'Click a pixel of the mask to see why it has its class.')
  const figure = append(main, 'section')
  append(figure, 'h2', {}, 'What every box computes')
  append(figure, 'p', {}, 'Dark to bright: how large the values of the strongest channel are. Boxes '
    + 'of scores show the class with the largest one, in the colours above. The white frame holds '
    + 'all that the chosen pixel depends on. An even border comes from padding, the zeros that the '
    + 'net puts around the picture.')
  const views = append(figure, 'div', { class: 'tools' })
  const mapPlace = append(figure, 'div')
  const boxPlace = append(figure, 'div', { class: 'detail' })
  append(boxPlace, 'p', {}, 'Click a box.')
  const backPlace = append(main, 'section')
  append(backPlace, 'h2', {}, 'One step of training')

  let shown = nets[0], map, layers = [], sizes = {}, reach = {}, values = {}, gradients = null
  let pixelClass
  const chosen = { box: null, channel: null }
  const back = makeBack(backPlace, classes, picture, VOID_LABEL, {
    step: async (label, lr) => {
      const answer = await guard(ask('step', { label, lr }))
      if (!answer) return
      await apply(answer)
      gradients = answer.gradients
      await view('gradients')
      back.show(answer)
    },
    reset: () => follow(ask('reset')),
  })

  let note = ''             // what the status says while nothing is computed
  const guard = async promise => {
    status.textContent = 'computing …'
    try {
      const answer = await promise
      status.textContent = note
      return answer
    } catch (error) {
      status.textContent = `This picture does not go through the net: ${error.message}`
      return null
    }
  }
  const follow = async promise => {
    const answer = await guard(promise)
    if (answer) await apply(answer)
  }
  const apply = async answer => {
    if (answer.title !== shown.title) return      // the reader has chosen another net
    const [h, w] = answer.size
    note = `${answer.seconds.toFixed(2)} s for ${h}×${w} pixels`
    status.textContent = note
    gradients = null
    await show(answer)
  }
  const show = async answer => {
    layers = answer.layers
    showSwitches(answer.on)
    sizes = { data: answer.size }
    for (const name in answer.images) sizes[name] = answer.images[name].size
    picture.show(answer.labels)
    values = answer.images
    await view('values')
    if (answer.title !== shown.title) return
    map.showImage(picture.url())
    map.fade(layers.filter(layer => !answer.on.includes(layer)))
    await explain(picture.pixel() ?? picture.chooseMiddle())
  }
  const explain = async pixel => {
    const answer = await guard(ask('pixel', { pixel }))
    if (!answer) return
    reach = answer.reach
    pixelClass = answer.scores.indexOf(Math.max(...answer.scores))
    showPixel(reader, answer, classes, colours, pixel)
    map.outline(reach, sizes)
    picture.outline(reach.data)
    back.suggest(pixelClass)
    if (chosen.box) await open(chosen.box)
  }
  const open = async (name, channel = chosen.channel) => {
    if (name === 'data') return
    if (name !== chosen.box) channel = undefined
    chosen.box = name
    chosen.channel = channel
    map.choose(name)
    const window = reach[name]
    const unit = window?.map(([low, high]) => (low + high) >> 1)
    const answer = await guard(ask('box', { name, channel, unit, pixelClass }))
    if (!answer) return
    showBox(boxPlace, name, shown.description.boxes, answer, data.player, next => open(name, next))
  }

  // What the boxes show: their values, or after a step the gradients by them.
  const VIEWS = { values: 'values: the strongest channel', gradients: 'gradients of the last step' }
  const buttons = Object.entries(VIEWS).map(([name, text]) => (
    button(views, text, () => view(name))))
  const view = async name => {
    Object.keys(VIEWS).forEach((each, i) => {
      buttons[i].setAttribute('aria-pressed', each === name)
      buttons[i].disabled = each === 'gradients' && !gradients
    })
    await map.show(name === 'gradients' ? gradients : values)
  }
  const drawMap = () => {
    mapPlace.replaceChildren()
    map = makeMap(mapPlace, shown.map, colours, name => open(name))
  }
  // The nets of the page, from coarse to fine, and the skips of the one that is shown.
  const showSwitches = on => {
    if (switches.dataset.of === shown.title) return
    switches.dataset.of = shown.title
    switches.replaceChildren()
    if (nets.length > 1) {
      const label = append(switches, 'label', {}, 'net ')
      const slider = append(label, 'input', { type: 'range', min: 0, max: nets.length - 1,
                                              value: nets.indexOf(shown) })
      append(label, 'output', {}, shown.title)
      slider.onchange = async () => {
        shown = nets[slider.value]
        Object.assign(chosen, { box: null, channel: null })
        drawMap()
        await follow(ask('show', { title: shown.title }))
        switches.querySelector('input').focus()
      }
    }
    if (layers.length < 2) return
    const boxes = layers.map(layer => {
      const label = append(switches, 'label')
      const box = append(label, 'input', { type: 'checkbox' })
      box.checked = on.includes(layer)
      label.append(` ${layer}`)
      box.onchange = async () => {
        const checked = layers.filter((_, i) => boxes[i].checked)
        const answer = await guard(ask('layers', { layers: checked }))
        if (answer) await show(answer)
      }
      return box
    })
  }

  drawMap()
  for (const { title, description, weights, preprocess } of nets) {
    await ask('open', { title, description, weights, preprocess })
  }
  const image = new Image()
  image.src = data.image
  await image.decode()
  picture.start(image)
}

start(JSON.parse(document.getElementById('data').textContent))

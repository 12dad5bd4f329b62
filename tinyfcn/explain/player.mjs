// The op of a box step by step, on numbers of this picture: a player of the course in a frame.
import { append, button } from './dom.mjs'

// in the page of a player: of what it computes, and of the step that is shown first
const EDIT_PLACE = '/*edit*/', START_PLACE = '/*start*/'

let chosen = 0                      // of the ways in which an op is shown

export function showPlayer(parent, page, { text, plays }) {
  append(parent, 'h3', {}, 'Step by step')
  append(parent, 'p', {}, `${text} Change them with “edit”.`)
  const choice = append(parent, 'div', { class: 'tools' })
  const frame = append(parent, 'iframe', { title: 'the op, step by step' })
  const show = number => {
    chosen = number
    buttons.forEach((each, i) => each.setAttribute('aria-pressed', i === number))
    const [, edit, start = 0] = plays[number]
    frame.srcdoc = page.replace(EDIT_PLACE, () => JSON.stringify(edit)).replace(START_PLACE, start)
  }
  const buttons = plays.map(([title], i) => button(choice, title, () => show(i)))
  show(Math.min(chosen, plays.length - 1))
}

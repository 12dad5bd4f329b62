// Questions to the worker: ask('pixel', { pixel }) -> a promise of its answer.

export function startWorker() {
  const text = document.getElementById('worker').textContent
  const url = URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
  const worker = new Worker(url)
  const waiting = new Map()
  let next = 0
  worker.onmessage = ({ data: { id, answer, error } }) => {
    const { resolve, reject } = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) resolve(answer)
    else reject(new Error(error))
  }
  return (kind, message = {}) => new Promise((resolve, reject) => {
    waiting.set(next, { resolve, reject })
    worker.postMessage({ id: next++, kind, ...message })
  })
}

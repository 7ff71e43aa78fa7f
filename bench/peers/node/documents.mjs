// Does the works of bench/peers with Yjs, Automerge and Loro, once each, and
// prints a line of JSON for each figure: {"work", "who", "value"}.
import * as Y from 'yjs'
import * as Automerge from '@automerge/automerge'
import { LoroDoc, LoroCounter } from 'loro-crdt'

const keyCount = 10000, keysAtOnce = 100, overwrites = 10000, rewritten = 100, increments = 100000

const key = i => String(i).padStart(16, '0')

// value returns 100 bytes that differ for each number and do not compress.
function value(n) {
  const b = new Uint8Array(100)
  let x = (n * 2654435761 + 1) >>> 0
  for (let i = 0; i < b.length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    b[i] = x & 255
  }
  return b
}

const say = (work, who, value) => console.log(JSON.stringify({ work, who, value }))

function timed(fn) {
  const start = performance.now()
  const result = fn()
  return [(performance.now() - start) / 1000, result]
}

function check(ok, what) {
  if (!ok) throw new Error(what)
}

// Each library is given as
//   create(), set(doc, from, to, value of i): one transaction,
//   get(doc, i), count(doc), save(doc), load(bytes), take(doc, bytes),
//   counter(): { add one, doc, read }.
const libraries = {
  'Yjs': {
    create: () => new Y.Doc(),
    set: (d, keys, valueOf) => {
      const m = d.getMap('m')
      d.transact(() => { for (const i of keys) m.set(key(i), valueOf(i)) })
      return d
    },
    get: (d, i) => d.getMap('m').get(key(i)),
    count: d => d.getMap('m').size,
    save: d => Y.encodeStateAsUpdate(d),
    load: b => { const d = new Y.Doc(); Y.applyUpdate(d, b); return d },
    take: (d, b) => { Y.applyUpdate(d, b); return d },
    // It has no counter: a cell for each client, which its client sets.
    counter: () => {
      const d = new Y.Doc(), m = d.getMap('m'), own = String(d.clientID)
      m.set(own, 0)
      return { add: () => m.set(own, m.get(own) + 1), doc: () => d, read: () => m.get(own) }
    },
  },
  'Automerge (JavaScript)': {
    create: () => Automerge.init(),
    set: (d, keys, valueOf) => Automerge.change(d, x => { for (const i of keys) x[key(i)] = valueOf(i) }),
    get: (d, i) => d[key(i)],
    count: d => Object.keys(d).length,
    save: d => Automerge.save(d),
    load: b => Automerge.load(b),
    take: (d, b) => Automerge.loadIncremental(d, b),
    // 200 increments a second, one a change: 100,000 of them take eight minutes.
    few: 2000,
    counter: () => {
      let d = Automerge.from({ n: new Automerge.Counter(0) })
      return { add: () => { d = Automerge.change(d, x => x.n.increment(1)) }, doc: () => d, read: () => Number(d.n.value) }
    },
  },
  'Loro': {
    create: () => new LoroDoc(),
    set: (d, keys, valueOf) => {
      const m = d.getMap('m')
      for (const i of keys) m.set(key(i), valueOf(i))
      d.commit()
      return d
    },
    get: (d, i) => d.getMap('m').get(key(i)),
    count: d => d.getMap('m').size,
    save: d => d.export({ mode: 'snapshot' }),
    load: b => LoroDoc.fromSnapshot(b),
    take: (d, b) => { d.import(b); return d },
    update: d => d.export({ mode: 'update' }),
    counter: () => {
      const d = new LoroDoc(), c = d.getCounter('n')
      return { add: () => { c.increment(1); d.commit() }, doc: () => d, read: () => c.value }
    },
  },
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i)

function fill(lib, round) {
  let d = lib.create()
  for (let from = 0; from < keyCount; from += keysAtOnce) {
    d = lib.set(d, range(from, from + keysAtOnce), i => value(i + round * keyCount))
  }
  return d
}

function overwritten(lib) {
  let d = lib.create()
  for (let i = 0; i < overwrites; i++) d = lib.set(d, [i % rewritten], () => value(i))
  return d
}

function measure(who, lib) {
  const update = lib.update ?? lib.save
  say('disk after overwrites', who, lib.save(overwritten(lib)).length)
  const [writing, doc] = timed(() => fill(lib, 0))
  say('document, write', who, keyCount / writing)
  const bytes = lib.save(doc)
  say('document, size', who, bytes.length)
  const [loading, got] = timed(() => lib.get(lib.load(bytes), keyCount / 2))
  check(got.length === 100, `${who}: a value of ${got.length} bytes`)
  say('document, load', who, loading * 1000)
  const [catching, caught] = timed(() => lib.take(lib.create(), update(doc)))
  check(lib.count(caught) === keyCount, `${who}: ${lib.count(caught)} keys`)
  say('document, catch up', who, keyCount / catching)
  say('document, bytes to catch up', who, update(doc).length / keyCount)
  const other = fill(lib, 1)
  const [merging, merged] = timed(() => lib.take(other, update(doc)))
  check(lib.count(merged) === keyCount, `${who}: ${lib.count(merged)} keys merged`)
  say('document, merge', who, keyCount / merging)
  const c = lib.counter(), n = lib.few ?? increments
  const [adding] = timed(() => { for (let i = 0; i < n; i++) c.add() })
  check(c.read() === n, `${who}: the counter is ${c.read()}`)
  say('counter, add', lib.few ? `${who}, ${n} of them` : who, n / adding)
  if (!lib.few) say('counter, size', who, lib.save(c.doc()).length)
}

for (const [who, lib] of Object.entries(libraries)) measure(who, lib)

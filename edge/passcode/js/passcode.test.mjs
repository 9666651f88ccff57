import assert from 'node:assert/strict'
import { webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { clockOffset, deriveSecret, importSecret, judgeClock, mint, remaining, stepAt, STEP_MS } from './passcode.mjs'

globalThis.crypto ??= webcrypto // node before 20; browsers have it

const vectors = JSON.parse(readFileSync(new URL('../testdata/vectors.json', import.meta.url)))
const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'))

test('steps are those of the vectors', () => {
  for (const { unix, step } of vectors.steps) {
    assert.equal(stepAt(unix * 1000), step)
    assert.equal(stepAt(unix * 1000 + 999), step)
  }
  assert.equal(stepAt(-1), 0)
})

test('what is left of a step', () => {
  assert.equal(remaining(0), 30_000)
  assert.equal(remaining(1), 29_999)
  assert.equal(remaining(59_999), 1)
  assert.equal(remaining(60_000), 30_000)
  assert.equal(remaining(-1), 1)
})

test('secrets are derived as the origin does', async () => {
  assert.ok(vectors.rolling.length > 20)
  for (const v of vectors.rolling) {
    const secret = await deriveSecret(bytes(v.code_key), v.issuer, v.key_id, v.subject)
    assert.equal(Buffer.from(secret).toString('hex'), v.secret, `${v.issuer} ${v.subject}`)
  }
})

test('codes are those that edges take, of a secret in each of its forms', async () => {
  for (const v of vectors.rolling) {
    for (const secret of [v.secret, bytes(v.secret), await importSecret(v.secret)]) {
      assert.equal(await mint({ issuer: v.issuer, subject: v.subject, keyId: v.key_id, secret }, v.step), v.code)
    }
  }
})

test('a code made now is of the present step', async () => {
  const { issuer, subject, key_id: keyId, secret } = vectors.rolling[1]
  const before = stepAt()
  const code = await mint({ issuer, subject, keyId, secret })
  const codes = await Promise.all([before, stepAt()].map((step) => mint({ issuer, subject, keyId, secret }, step)))
  assert.ok(codes.includes(code))
})

test('a kept key can not be read out', async () => {
  const key = await importSecret(vectors.rolling[0].secret)
  await assert.rejects(crypto.subtle.exportKey('raw', key))
})

test('what no edge would take is not made', async () => {
  const good = { issuer: 'demo-a', subject: 'd1', keyId: 1, secret: vectors.rolling[0].secret }
  await mint(good, 1)
  for (const bad of [
    { issuer: 'DEMO-A' }, { issuer: '' }, { issuer: 'a'.repeat(17) }, { issuer: 'a.b' }, { issuer: 'a\n' },
    { subject: '' }, { subject: 'x'.repeat(65) }, { subject: 'é'.repeat(33) }, { subject: 'a\u0000' }, { subject: 'a\u0085' }, { subject: '\ud800' },
    { keyId: 0 }, { keyId: 256 }, { keyId: 1.5 }, { keyId: '1' },
    { secret: '' }, { secret: 'zz' }, { secret: new Uint8Array(31) },
  ]) {
    await assert.rejects(mint({ ...good, ...bad }, 1), RangeError, JSON.stringify(bad))
  }
  for (const step of [-1, 2 ** 32, 0.5, NaN]) await assert.rejects(mint(good, step), RangeError)
})

test('the clock is held to the origin\'s', () => {
  const answer = { server_time: '2026-11-26T14:30:00.250Z' }
  const server = Date.UTC(2026, 10, 26, 14, 30, 0, 250)
  assert.equal(clockOffset(answer, server - 100, server + 100), 0)
  assert.equal(clockOffset(answer, server + 59_900, server + 60_100), -60_000)
  assert.throws(() => clockOffset({ server_time: 'noon' }, 0, 0), RangeError)
})

test('a clock is judged as edges will judge its codes', () => {
  assert.equal(judgeClock(0), 'good')
  for (const windowSteps of [0, 1, 3]) {
    for (let offset = -5 * STEP_MS; offset <= 5 * STEP_MS; offset += 500) {
      let taken = 0
      for (let at = 0; at < STEP_MS; at += 500) { // the origin's clock, all through a step
        const skew = stepAt(STEP_MS * 100 + at - offset) - 100
        if (Math.abs(skew) <= windowSteps) taken++
      }
      const want = taken === STEP_MS / 500 ? 'good' : taken > 0 ? 'tight' : offset < 0 ? 'ahead' : 'behind'
      assert.equal(judgeClock(offset, windowSteps), want, `${offset} ms, window ${windowSteps}`)
    }
  }
})

test('the example of docs/codes.md draws the code of the present step, also on a phone whose clock is off', async (t) => {
  const doc = readFileSync(new URL('../../../docs/codes.md', import.meta.url), 'utf8')
  const example = /```js\n([^]*?)```/.exec(doc)[1].replace('./passcode.mjs', new URL('./passcode.mjs', import.meta.url))
  const { issuer, subject, key_id, secret } = vectors.rolling[1]
  const answer = { issuer, subject, key_id, secret, server_time: new Date(Date.now() + 3_600_000).toISOString() }
  const drawn = []
  const waits = []
  const saved = { fetch: globalThis.fetch, setTimeout: globalThis.setTimeout }
  t.after(() => Object.assign(globalThis, saved))
  Object.assign(globalThis, {
    fetch: async () => ({ json: async () => answer }),
    draw: (code) => drawn.push(code),
    setTimeout: (_, ms) => waits.push(ms),
  })
  const before = stepAt(Date.now() + 3_600_000 - 1000)
  await import('data:text/javascript,' + encodeURIComponent(example + '\nawait show()'))
  const steps = [before, before + 1, before + 2]
  const codes = await Promise.all(steps.map((step) => mint({ issuer, subject, keyId: key_id, secret }, step)))
  assert.equal(drawn.length, 1)
  assert.ok(codes.includes(drawn[0]))
  assert.ok(waits[0] > 0 && waits[0] <= STEP_MS)
})

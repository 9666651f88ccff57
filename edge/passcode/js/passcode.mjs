/**
 * Rolling codes of scanedge, made on a phone (a page or an app) or on an issuer's server: the same as the Go package
 * edge/passcode makes, whose documentation has the forms, and held to the same vectors (../testdata/vectors.json).
 *
 * WebCrypto alone, no dependency; for browsers (a secure context: https or localhost) and node. Times are milliseconds since
 * 1970, as of Date.now().
 *
 *     const answer = await (await fetch('/my/secret')).json()  // your server asked the origin for it
 *     const key = await importSecret(answer.secret)            // keep this one, not the text: it can't be read out again
 *     const text = await mint({ issuer: answer.issuer, subject: answer.subject, keyId: answer.key_id, secret: key })
 *
 * @module
 */

/** How long a step lasts, in milliseconds. */
export const STEP_MS = 30_000

/** The window of accepted steps either way, unless the issuer chose another. */
export const DEFAULT_WINDOW_STEPS = 1

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const MAC_BYTES = 10
const HMAC = { name: 'HMAC', hash: 'SHA-256' }

/**
 * What `GET /v1/issuers/{issuer}/subjects/{subject}/secret` answers.
 * @typedef {object} SecretAnswer
 * @property {string} issuer
 * @property {string} subject
 * @property {number} key_id
 * @property {string} secret 64 hex digits
 * @property {number} step the origin's present one
 * @property {number} step_seconds
 * @property {string} server_time the origin's clock, RFC 3339
 */

/**
 * Whose codes are made.
 * @typedef {object} Holder
 * @property {string} issuer 1 to 16 of a-z, 0-9 and '-'
 * @property {string} subject 1 to 64 bytes of UTF-8 without control characters
 * @property {number} keyId 1 to 255: the code key that the secret is derived from
 * @property {CryptoKey | Uint8Array | string} secret of {@link importSecret}, or its 32 bytes, or 64 hex digits
 */

/**
 * The step that a rolling code made at that time carries. On a phone whose clock is off, add {@link clockOffset}.
 * @param {number} [now]
 * @returns {number}
 */
export function stepAt(now = Date.now()) {
  return Math.floor(Math.max(0, now) / STEP_MS)
}

/**
 * How many milliseconds are left of the step: when to show the next code.
 * @param {number} [now]
 * @returns {number} 1 to 30,000
 */
export function remaining(now = Date.now()) {
  return STEP_MS - (((now % STEP_MS) + STEP_MS) % STEP_MS)
}

/**
 * Derives a subject's secret from a code key of its issuer: for issuers' servers. A phone never sees a code key.
 * @param {Uint8Array} codeKey 32 bytes
 * @param {string} issuer
 * @param {number} keyId
 * @param {string} subject
 * @returns {Promise<Uint8Array>} 32 bytes
 */
export async function deriveSecret(codeKey, issuer, keyId, subject) {
  const ikm = await crypto.subtle.importKey('raw', codeKey, 'HKDF', false, ['deriveBits'])
  const params = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: utf8('scanedge code key v1'),
    info: join(head(issuer, keyId), subjectBytes(subject)),
  }
  return new Uint8Array(await crypto.subtle.deriveBits(params, ikm, 256))
}

/**
 * A subject's secret as a key that signs and can't be read out: IndexedDB keeps it as it is.
 * @param {Uint8Array | string} secret 32 bytes, or 64 hex digits
 * @returns {Promise<CryptoKey>}
 */
export async function importSecret(secret) {
  const raw = typeof secret === 'string' ? unhex(secret) : secret
  if (raw.length !== 32) throw new RangeError(`a secret has 32 bytes, this one ${raw.length}`)
  return crypto.subtle.importKey('raw', raw, HMAC, false, ['sign'])
}

/**
 * Makes the rolling code of a step: the text for a QR in alphanumeric mode. It asks nobody.
 * @param {Holder} holder
 * @param {number} [step] of {@link stepAt}
 * @returns {Promise<string>}
 */
export async function mint({ issuer, subject, keyId, secret }, step = stepAt()) {
  if (!Number.isInteger(step) || step < 0 || step > 0xffffffff) throw new RangeError(`${step} is no step`)
  const key = typeof secret === 'string' || secret instanceof Uint8Array ? await importSecret(secret) : secret
  const id = subjectBytes(subject)
  const when = new Uint8Array(4)
  new DataView(when.buffer).setUint32(0, step)
  const mac = await crypto.subtle.sign(HMAC, key, join(head(issuer, keyId), when, id))
  const payload = join(Uint8Array.of(keyId), when, id, new Uint8Array(mac, 0, MAC_BYTES))
  return `SE1.${issuer.toUpperCase()}.${base32(payload)}`
}

/**
 * How far the phone's clock is off: what is to be added to Date.now() to have the origin's time. Take `sent` and `received` with
 * the phone's clock, right before the secret was asked for and right after its answer came; the error is half of what passed
 * between.
 * @param {SecretAnswer} answer
 * @param {number} sent
 * @param {number} received
 * @returns {number} milliseconds; below zero, the phone is ahead
 */
export function clockOffset(answer, sent, received) {
  const server = Date.parse(answer.server_time)
  if (Number.isNaN(server)) throw new RangeError(`server_time is ${answer.server_time}, no time`)
  return server - (sent + received) / 2
}

/**
 * What to tell a holder whose clock is off, before a gate does: codes made by it would be refused always ('ahead', 'behind'), or are
 * at the beginning or the end of a step ('tight'). With the offset added to the clock, none of this happens.
 * @param {number} offset of {@link clockOffset}
 * @param {number} [windowSteps] the issuer's
 * @returns {'good' | 'tight' | 'ahead' | 'behind'}
 */
export function judgeClock(offset, windowSteps = DEFAULT_WINDOW_STEPS) {
  const off = Math.abs(offset)
  if (off <= windowSteps * STEP_MS) return 'good'
  if (off < (windowSteps + 1) * STEP_MS) return 'tight'
  return offset < 0 ? 'ahead' : 'behind'
}

/** What the derivation's info and each message begin with. */
function head(issuer, keyId) {
  if (!/^[a-z0-9-]{1,16}$/.test(issuer)) throw new RangeError(`${JSON.stringify(issuer)} is no issuer: 1 to 16 of a-z, 0-9 and '-'`)
  if (!Number.isInteger(keyId) || keyId < 1 || keyId > 255) throw new RangeError(`${keyId} is no key id: 1 to 255`)
  return join(utf8(`SE1\0${issuer}\0`), Uint8Array.of(keyId))
}

function subjectBytes(subject) {
  const id = utf8(subject)
  if (id.length < 1 || id.length > 64 || /[\p{Cc}\p{Cs}]/u.test(subject)) {
    throw new RangeError('a subject is 1 to 64 bytes of UTF-8 without control characters')
  }
  return id
}

function utf8(text) {
  return new TextEncoder().encode(text)
}

function unhex(text) {
  if (!/^([0-9a-f]{2})*$/i.test(text)) throw new RangeError('not hex digits')
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16))
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** RFC 4648 in upper case, without padding. */
function base32(bytes) {
  let text = ''
  let rest = 0
  let bits = 0
  for (const byte of bytes) {
    rest = ((rest << 8) | byte) & 0xfff
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(rest >> (bits - 5)) & 31]
  }
  return bits > 0 ? text + ALPHABET[(rest << (5 - bits)) & 31] : text
}

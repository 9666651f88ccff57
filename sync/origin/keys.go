package origin

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/issuer"
)

// An Idempotency-Key is known for 24 hours, of the newest 1,000,000 pushes that had one. An hour more is kept, so that a clock
// that was set by up to an hour takes nothing from that.
const (
	keysKept = 1_000_000
	keysFor  = 24*time.Hour + time.Hour
)

// past is what a writer must know of the pushes before: by it a retry is told from a new push. All of it follows from the log's
// records, but the log is trimmed: so it is also in every snapshot.
//
// It is written by its writer's goroutine, and may be read by others.
//
// Time is the greatest that was seen, in a record or on the clock, and never falls. A clock that is set forward by more than an
// hour, if only for one push, makes it forget keys that much too early; one that is set back, later than it would.
type past struct {
	epoch uint64 // of the last reign
	last  uint64 // offset of the last batch, 0 if there was none; written under mu

	mu    sync.Mutex       // held to write what is here, and by others to read it
	clock int64            // milliseconds since 1970
	list  []known          // in the order of their offsets; what is in it never changes
	first uint64           // how many were dropped from the list's front
	index map[keyID]uint64 // where in the list, dropped ones counted
}

// keyID stands for an Idempotency-Key: the first half of its SHA-256. It bounds what a key costs.
type keyID [16]byte

// known is a push with an Idempotency-Key: 56 bytes, and some 40 in the index.
type known struct {
	id     keyID
	sum    keyID // the first half of the sum of its deltas
	offset uint64
	time   int64
	count  uint32
}

func idOf(key string) keyID {
	sum := sha256.Sum256([]byte(key))
	return keyID(sum[:])
}

func newKnown(l link) known {
	return known{idOf(l.batch.Key), keyID(l.sum[:]), l.at.Offset, l.head.Time.UnixMilli(), uint32(l.batch.Len())}
}

func (k known) receipt() scanedge.Receipt {
	return scanedge.Receipt{Offset: k.offset, Count: int(k.count)}
}

// answer is what a push with a known key is told.
func (k known) answer(p *push) outcome {
	if k.sum != keyID(p.sum[:]) || int(k.count) != p.batch.Len() {
		return outcome{err: errKeyReused}
	}
	return outcome{receipt: k.receipt(), replayed: true}
}

// find returns the push that had a key. It is safe for concurrent use.
func (p *past) find(key string) (known, bool) {
	if key == "" {
		return known{}, false
	}
	id := idOf(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.index[id]
	if !ok {
		return known{}, false
	}
	return p.list[i-p.first], true
}

// len returns how many keys are known. It is safe for concurrent use.
func (p *past) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list)
}

// checkEpoch holds a record of the chain to its reign: each is of the one that was begun last.
func (p *past) checkEpoch(h issuer.Head) error {
	if h.Kind == issuer.Reign && h.Epoch > p.epoch || h.Kind != issuer.Reign && h.Epoch == p.epoch {
		return nil
	}
	return fmt.Errorf("%w: a record of epoch %d in epoch %d", issuer.ErrChain, h.Epoch, p.epoch)
}

// learn takes in a stored record. Those that restore brought are known already.
func (p *past) learn(l link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch = max(p.epoch, l.head.Epoch)
	if l.head.Kind != issuer.Batch || l.at.Offset <= p.last {
		return
	}
	p.last = l.at.Offset
	p.advance(l.head.Time)
	if l.batch.Key != "" {
		k := newKnown(l)
		k.time = p.clock
		p.append(k)
	}
}

// expire forgets what is too old at a time.
func (p *past) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(now)
}

func (p *past) advance(now time.Time) {
	p.clock = max(p.clock, now.UnixMilli())
	for len(p.list) > 0 && p.list[0].time < p.clock-keysFor.Milliseconds() {
		p.drop()
	}
}

func (p *past) append(k known) {
	if p.index == nil {
		p.index = map[keyID]uint64{}
	}
	p.index[k.id] = p.first + uint64(len(p.list))
	p.list = append(p.list, k)
	if len(p.list) > keysKept {
		p.drop()
	}
}

// drop forgets the oldest key, but not its id if a later push has it.
func (p *past) drop() {
	if id := p.list[0].id; p.index[id] == p.first {
		delete(p.index, id)
	}
	p.list = p.list[1:]
	p.first++
}

// The form of state, all numbers little-endian:
//
//	size
//	   1  version, 1
//	   8  epoch
//	   8  offset of the last batch
//	   8  the greatest time seen, milliseconds since 1970
//	   4  number of keys
//	  52  so many times: half the SHA-256 of the key, half the sum of the deltas, offset, time, number of deltas u32
//	   8  xxhash64 of all before it
const (
	pastVersion  = 1
	pastHead     = 29
	knownSize    = 52
	pastChecksum = 8
)

// state is the past as bytes for restore. It is safe for concurrent use with the writer's goroutine. For a snapshot, call it
// after the snapshot was begun: so it knows all pushes that the snapshot's place is after.
func (p *past) state() []byte {
	p.mu.Lock()
	epoch, last, clock, list := p.epoch, p.last, p.clock, p.list
	p.mu.Unlock()
	b := make([]byte, 0, pastHead+len(list)*knownSize+pastChecksum)
	b = append(b, pastVersion)
	b = binary.LittleEndian.AppendUint64(b, epoch)
	b = binary.LittleEndian.AppendUint64(b, last)
	b = binary.LittleEndian.AppendUint64(b, uint64(clock))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(list)))
	for _, k := range list {
		b = append(append(b, k.id[:]...), k.sum[:]...)
		b = binary.LittleEndian.AppendUint64(b, k.offset)
		b = binary.LittleEndian.AppendUint64(b, uint64(k.time))
		b = binary.LittleEndian.AppendUint32(b, k.count)
	}
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b))
}

// restore makes the past what state said. It checks all of it before it changes anything.
func (p *past) restore(b []byte) error {
	fail := func(format string, a ...any) error { return fmt.Errorf("restore the pushes before: "+format, a...) }
	if len(b) == 0 || b[0] != pastVersion {
		return fail("it is not of version %d, which this scanedge reads", pastVersion)
	}
	if len(b) < pastHead+pastChecksum {
		return fail("%d bytes; cut short", len(b))
	}
	body := b[:len(b)-pastChecksum]
	n := int(binary.LittleEndian.Uint32(b[25:]))
	if len(body) != pastHead+n*knownSize {
		return fail("%d bytes for %d keys", len(b), n)
	}
	if xxhash.Sum64(body) != binary.LittleEndian.Uint64(b[len(body):]) {
		return fail("its checksum is wrong")
	}
	r := past{
		epoch: binary.LittleEndian.Uint64(b[1:]),
		last:  binary.LittleEndian.Uint64(b[9:]),
		clock: int64(binary.LittleEndian.Uint64(b[17:])),
		list:  make([]known, 0, n),
		index: make(map[keyID]uint64, n),
	}
	for i := range n {
		k := parseKnown(b[pastHead+i*knownSize:])
		if err := r.check(k); err != nil {
			return fail("key %d: %w", i, err)
		}
		r.append(k)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch, p.last, p.clock, p.list, p.first, p.index = r.epoch, r.last, r.clock, r.list, 0, r.index
	return nil
}

func parseKnown(b []byte) known {
	return known{
		id: keyID(b), sum: keyID(b[16:]),
		offset: binary.LittleEndian.Uint64(b[32:]),
		time:   int64(binary.LittleEndian.Uint64(b[40:])),
		count:  binary.LittleEndian.Uint32(b[48:]),
	}
}

// check holds a key to the ones before it: offsets rise, and times do not fall. A key may be there twice: a clock that was ahead,
// though no push was stored then, made it be forgotten too early, and the log that a start reads does not tell of that.
func (p *past) check(k known) error {
	before := known{time: 0}
	if len(p.list) > 0 {
		before = p.list[len(p.list)-1]
	}
	switch {
	case k.offset <= before.offset || k.offset > p.last:
		return fmt.Errorf("offset %d after %d, of %d", k.offset, before.offset, p.last)
	case k.time < before.time || k.time > p.clock:
		return fmt.Errorf("time %d after %d, of %d", k.time, before.time, p.clock)
	case k.count == 0:
		return fmt.Errorf("a push of no deltas")
	}
	return nil
}

// lastBatch returns the offset of the last batch, 0 if there was none. It is safe for concurrent use.
func (p *past) lastBatch() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

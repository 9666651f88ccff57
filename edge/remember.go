package edge

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/cache/memo"
	"github.com/scanedge/scanedge/edge/passcode"
)

// What this edge may forget about codes: which signatures are good, by a hash of all of the code, keyed by the issuer's seed, so that nobody
// can aim at an entry; and when a scanner first showed a rolling code, by the code's MAC, which nobody can choose. Only what was
// verified gets in, so forged codes, however many, push nothing out.

// Remember makes the server remember codes, in as many bytes, half for each; an index of the signatures, of up to their size again, comes
// on top. Before it, and with none, it remembers nothing: no code was seen before, and each signature is checked anew. It must be called before Handle.
func (s *Server) Remember(bytes int) {
	s.seen, s.signatures = newMarks(bytes/2), memo.New(bytes/2)
}

// nameSize is the length of a code's name in the memo.
const nameSize = cache.KeySize

// nameOf is the name of a code's text.
func nameOf(seed cache.Seed, code []byte) (name [nameSize]byte) {
	seed.Key(code).Put(name[:])
	return name
}

// verify reports whether a code is its issuer's: a signed one by the memo, or else by its signature. When it is good is not asked.
func (s *Server) verify(c *passcode.Code, text []byte, v *Vouch) bool {
	by := v.Codes
	if by == nil {
		by = noKeys
	}
	if c.Kind != passcode.Signed {
		return by.Verify(c)
	}
	var room [ed25519.PublicKeySize + memo.Overhead]byte
	name := nameOf(v.Seed, text)
	if signer, ok := s.signatures.Get(room[:0], name[:], 0); ok && bytes.Equal(signer, by.Signing) {
		return true
	}
	if !by.Verify(c) {
		return false
	}
	s.signatures.Put(name[:], by.Signing, int64(c.Until)*int64(time.Second))
	return true
}

// noKeys verifies nothing, and takes its time.
var noKeys = new(passcode.Keyring)

// mark remembers that a scanner showed a rolling code, as long as the code lasts, and says how long ago one did first.
func (s *Server) mark(v *verdict) {
	v.seenMS, v.seen = s.seen.mark(binary.BigEndian.Uint64(v.code.MAC[:]), v.now.UnixMilli())
}

// writeMemos writes what the memos did and hold, in the Prometheus text format.
func (s *Server) writeMemos(w io.Writer) {
	seen, signatures := s.seen.Stats(), s.signatures.Stats()
	for _, m := range []struct {
		name, kind string
		value      func(memo.Stats) uint64
	}{
		{"scanedge_memo_hits_total", "counter", func(s memo.Stats) uint64 { return s.Hits }},
		{"scanedge_memo_misses_total", "counter", func(s memo.Stats) uint64 { return s.Misses }},
		{"scanedge_memo_expired_total", "counter", func(s memo.Stats) uint64 { return s.Expired }},
		{"scanedge_memo_damaged_total", "counter", func(s memo.Stats) uint64 { return s.Damaged }},
		{"scanedge_memo_evicted_total", "counter", func(s memo.Stats) uint64 { return s.Evicted }},
		{"scanedge_memo_entries", "gauge", func(s memo.Stats) uint64 { return s.Entries }},
		{"scanedge_memo_bytes", "gauge", func(s memo.Stats) uint64 { return s.Bytes }},
		{"scanedge_memo_max_bytes", "gauge", func(s memo.Stats) uint64 { return s.MaxBytes }},
	} {
		metrics.WriteMetadataIfNeeded(w, m.name, m.kind)
		fmt.Fprintf(w, "%s{memo=\"seen\"} %d\n%s{memo=\"signatures\"} %d\n", m.name, m.value(seen), m.name, m.value(signatures))
	}
}

// skews counts by how many steps verified rolling codes are off the edge's clock.
type skews [7]*metrics.Counter

func newSkews(set *metrics.Set) (c skews) {
	for i, steps := range [...]string{"<-10", "-10..-2", "-1", "0", "1", "2..10", ">10"} {
		c[i] = set.NewCounter(fmt.Sprintf("scanedge_code_skew_total{steps=%q}", steps))
	}
	return c
}

func (c *skews) count(steps int64) {
	i := steps + 3
	switch {
	case steps < -10:
		i = 0
	case steps < -1:
		i = 1
	case steps > 10:
		i = 6
	case steps > 1:
		i = 5
	}
	c[i].Inc()
}
